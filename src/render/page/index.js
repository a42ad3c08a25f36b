// The search index: which pictures have a word in their texts, or show what it stands for according to the model. It is
// in chunks: the words are loaded with the first search, and the lists of pictures when one of their words matches.

const { count, chunk, withChunks, bytesOf, reader, eachPicture } = page.chunks;

/**
 * Removes accents and case, so that "cafe" finds "Café" and "strasse" finds "Straße". The same as `normalized` in
 * index.rs.
 */
const normalized = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toUpperCase();

/** The words of a text: the runs of characters between white space and ASCII punctuation. */
const wordsIn = (text) =>
  normalized(text)
    .split(/[\s\0-/:-@[-`{-\x7f]+/)
    .filter(Boolean);

/** All written words, each between two line breaks, and the offset of the line break before each. */
let words = null;

function readWords(head) {
  const text = `\n${Array.from({ length: head.words }, (_, k) => chunk(`words-${k}`) ?? "").join("")}`;
  const begins = [];
  for (let at = 0; at + 1 < text.length; at = text.indexOf("\n", at + 1)) begins.push(at);
  words = { text, begins: Uint32Array.from(begins) };
}

/** Binary search in an ascending list: the index of the last element that is not larger than `value`. */
function placeOf(list, value) {
  let [low, high] = [0, list.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** The index entries that match a word of the query: written words that contain it, then words of the model. */
function entriesFor(word, modelWords) {
  const { text, begins } = words;
  const entries = [];
  for (let at = text.indexOf(word); at >= 0; ) {
    const entry = placeOf(begins, at);
    entries.push(entry);
    at = entry + 1 < begins.length ? text.indexOf(word, begins[entry + 1]) : -1;
  }
  // For the model's words, a plural matches its singular, and the beginning of a word matches too.
  const singular = word.length > 3 ? word.replace(/S$/, "") : word;
  const matches = (part) => part === word || part === singular || (singular.length > 3 && part.startsWith(singular));
  modelWords.forEach((name, n) => {
    if (normalized(name).split(" ").some(matches)) entries.push(begins.length + n);
  });
  return entries;
}

const lists = new Map();

/** The lists of a chunk: where the bytes of each entry begin and end. */
function listsOf(k) {
  if (!lists.has(k)) {
    const bytes = bytesOf(chunk(`found-${k}`) ?? "");
    const ranges = [];
    for (const numbers = reader(bytes, 0); numbers.at < bytes.length; ) {
      const length = numbers.next();
      ranges.push([numbers.at, numbers.at + length]);
      numbers.at += length;
    }
    lists.set(k, { bytes, ranges });
  }
  return lists.get(k);
}

/**
 * The rank of each picture for one word of the query, given the word's entries: 1 if a text has it, the probability
 * (below 1) if the model has it, 0 otherwise.
 */
function ranksOf(entries, starts) {
  const ranks = new Float32Array(count);
  for (const entry of entries) {
    const k = placeOf(starts, entry);
    const { bytes, ranges } = listsOf(k);
    const [from, to] = ranges[entry - starts[k]] ?? [0, 0];
    const isOfModel = entry >= words.begins.length;
    eachPicture(bytes, from, to, (i, numbers) => {
      const rank = isOfModel ? numbers.next() / 101 : 1;
      if (rank > ranks[i]) ranks[i] = rank;
    });
  }
  return ranks;
}

/**
 * Calls `then` with the rank of each picture for all words, which is the smallest of the words' ranks; null without
 * words.
 */
function rankAll(all, then) {
  if (all.length === 0) {
    then(null);
    return;
  }
  withChunks(["index-0"], () => {
    const head = chunk("index-0") ?? { starts: [], words: 0, seen: [] };
    const names = Array.from({ length: head.words }, (_, k) => `words-${k}`);
    withChunks(names, () => {
      if (!words) readWords(head);
      const entries = all.map((word) => entriesFor(word, head.seen));
      const needed = new Set(entries.flat().map((entry) => `found-${placeOf(head.starts, entry)}`));
      withChunks([...needed], () => {
        const ranks = entries.map((ofWord) => ranksOf(ofWord, head.starts));
        then(ranks.reduce((lowest, other) => lowest.map((rank, i) => Math.min(rank, other[i]))));
      });
    });
  });
}

page.index = { normalized, wordsIn, rankAll };
