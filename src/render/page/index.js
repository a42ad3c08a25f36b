// The index of all words: which pictures have a word in what is written of them, or show, by the model, what it says. It is in tiles, too:
// the words are read when something is searched for, the pictures of those that fit then.

const { count, tile, withTiles, bytesOf, reader, eachPicture } = page.tiles;

/** Without accents and case: who looks for "cafe" means "Café" too, and with "strasse" "Straße". */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toUpperCase();

/** The words of a text: what is between spaces and ASCII signs. */
const wordsIn = (text) =>
  plain(text)
    .split(/[\s\0-/:-@[-`{-\x7f]+/)
    .filter(Boolean);

/** All words, each between two line breaks, and where each begins. */
let words = null;

function readWords(head) {
  const text = `\n${Array.from({ length: head.words }, (_, k) => tile(`words-${k}`) ?? "").join("")}`;
  const begins = [];
  for (let at = 0; at + 1 < text.length; at = text.indexOf("\n", at + 1)) begins.push(at);
  words = { text, begins: Uint32Array.from(begins) };
}

/** Where a value is in an ascending list: the last place that is no larger. */
function placeOf(list, value) {
  let [low, high] = [0, list.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** The entries of the index that a word means: those that have it within, then what the model sees. */
function entriesFor(word, seen) {
  const { text, begins } = words;
  const entries = [];
  for (let at = text.indexOf(word); at >= 0; ) {
    const entry = placeOf(begins, at);
    entries.push(entry);
    at = entry + 1 < begins.length ? text.indexOf(word, begins[entry + 1]) : -1;
  }
  // Who looks for dogs means a dog; what is begun may be meant too.
  const one = word.length > 3 ? word.replace(/S$/, "") : word;
  const means = (part) => part === word || part === one || (one.length > 3 && part.startsWith(one));
  seen.forEach((name, n) => {
    if (plain(name).split(" ").some(means)) entries.push(begins.length + n);
  });
  return entries;
}

const lists = new Map();

/** The lists of a tile: where the pictures of each of its entries begin and end. */
function listsOf(k) {
  if (!lists.has(k)) {
    const bytes = bytesOf(tile(`found-${k}`) ?? "");
    const ends = [];
    for (const numbers = reader(bytes, 0); numbers.at < bytes.length; ) {
      const length = numbers.next();
      ends.push([numbers.at, numbers.at + length]);
      numbers.at += length;
    }
    lists.set(k, { bytes, ends });
  }
  return lists.get(k);
}

/** How well each picture fits one word, by its entries: 1 where it is written, less where the model says so, 0 where nothing does. */
function ranksOf(entries, starts) {
  const ranks = new Float32Array(count);
  for (const entry of entries) {
    const k = placeOf(starts, entry);
    const { bytes, ends } = listsOf(k);
    const [from, to] = ends[entry - starts[k]] ?? [0, 0];
    const isSeen = entry >= words.begins.length;
    eachPicture(bytes, from, to, (i, numbers) => {
      const rank = isSeen ? numbers.next() / 101 : 1;
      if (rank > ranks[i]) ranks[i] = rank;
    });
  }
  return ranks;
}

/** Calls `then` with how well each picture fits all words; with null where there are none. */
function rankAll(all, then) {
  if (all.length === 0) {
    then(null);
    return;
  }
  withTiles(["index-0"], () => {
    const head = tile("index-0") ?? { starts: [], words: 0, seen: [] };
    const names = Array.from({ length: head.words }, (_, k) => `words-${k}`);
    withTiles(names, () => {
      if (!words) readWords(head);
      const entries = all.map((word) => entriesFor(word, head.seen));
      const needed = new Set(entries.flat().map((entry) => `found-${placeOf(head.starts, entry)}`));
      withTiles([...needed], () => {
        const each = entries.map((some) => ranksOf(some, head.starts));
        then(each.reduce((least, other) => least.map((rank, i) => Math.min(rank, other[i]))));
      });
    });
  });
}

page.index = { plain, wordsIn, rankAll };
