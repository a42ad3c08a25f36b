// What is looked for: words, kinds, a time, columns of a table, a list of pictures. What fits is lit, the view goes there, and Enter
// walks through it, the best first.

const { block, count, element } = page.data;
const { layout, limited, glideTo, reveal, windowWidth, windowHeight } = page.view;
const { picked, light, choose } = page.picked;
const { box, open, why } = page.card;
const { asked, suits, tell, makeFacets } = page.facets;

/** Percent from which on a picture is taken to show what the model says. */
const LIKELY = 30;
/** The view goes to what is found once typing pauses for so many milliseconds. */
const PAUSE = 350;

/** What is looked for; changed by `ask`. */
const looking = { text: "", kinds: null, from: null, to: null, only: null };

/** Changes what is looked for. */
const ask = (what) => Object.assign(looking, what);

/** Without accents and case: who looks for "cafe" means "Café" too, and with "strasse" "Straße". */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toUpperCase();
let haystack = null;
/** How well each picture fits what is searched for; null while nothing is. */
let ranks = null;
/** What fits, the best first; and which of it was gone to last. */
const hits = { all: [], at: -1 };

/** 1 where captions, columns and path have all words; less where it is the model that says so; 0 where nothing does. */
function ranked(words) {
  const shown = wordRanks(words);
  const written = (i, word) => haystack[i].includes(word);
  return Float32Array.from({ length: count }, (_, i) =>
    words.reduce((least, word, n) => Math.min(least, written(i, word) ? 1 : (shown[n].get(i) ?? 0)), 1),
  );
}

/** For each of the words that are looked for: how likely pictures show something of which a name has it. */
function wordRanks(words) {
  const { names, of } = block("words");
  const parts = names.map((name) => plain(name).split(" "));
  return words.map((word) => {
    // Who looks for dogs means a dog; what is begun may be meant too.
    const one = word.length > 3 ? word.replace(/S$/, "") : word;
    const meant = parts.map((part) =>
      part.some((text) => text === word || text === one || (one.length > 3 && text.startsWith(one))),
    );
    const found = new Map();
    of.forEach((known, i) => {
      for (const [name, percent] of known) {
        if (meant[name] && percent >= LIKELY) found.set(i, Math.max(found.get(i) ?? 0, percent / 101));
      }
    });
    return found;
  });
}

const wordsOfText = () => plain(looking.text).split(/\s+/).filter(Boolean);

function look() {
  const { time, kinds, kind } = block("facts");
  const words = wordsOfText();
  const { only, from, to } = looking;
  const all = words.length === 0 && !looking.kinds && from === null && to === null && !only && asked.size === 0;
  if (words.length > 0 && !haystack) {
    const { caption, path, fields } = block("texts");
    const told = (i) => (fields?.[i] ?? []).flat().join("\n");
    haystack = caption.map((text, i) => plain(`${text}\n${path[i]}\n${told(i)}`));
  }
  ranks = words.length > 0 ? ranked(words) : null;
  const fits = (i) =>
    (!ranks || ranks[i] > 0) &&
    (!only || only.has(i)) &&
    (!looking.kinds || looking.kinds.has(kinds[kind[i]])) &&
    (from === null || (time[i] !== null && time[i] >= from)) &&
    (to === null || (time[i] !== null && time[i] < to));
  tell(fits);
  const lit = all ? null : Uint8Array.from({ length: count }, (_, i) => (fits(i) && suits(i) ? 1 : 0));
  hits.all = lit ? [...lit.keys()].filter((i) => lit[i]) : [];
  if (ranks) hits.all.sort((a, b) => ranks[b] - ranks[a] || a - b);
  hits.at = -1;
  element("more").classList.toggle("active", Boolean(looking.kinds) || from !== null || to !== null || asked.size > 0);
  element("reset").hidden = all;
  light(lit);
  sayHits();
}

function sayHits() {
  const number = (value) => value.toLocaleString("en");
  const { all, at } = hits;
  element("found").hidden = !picked.lit;
  element("count").textContent =
    all.length === 0
      ? "nothing found"
      : at < 0
        ? `${number(all.length)} of ${number(count)}`
        : `${number(at + 1)} of ${number(all.length)}`;
  for (const id of ["earlier", "later"]) element(id).disabled = all.length === 0;
}

/** Brings all that fits into the window. */
function goToHits() {
  if (hits.all.length === 0) return;
  const { x, y } = layout.to;
  const [left, right, top, bottom] = hits.all.reduce(
    ([l, r, t, b], i) => [Math.min(l, x[i]), Math.max(r, x[i]), Math.min(t, y[i]), Math.max(b, y[i])],
    [Infinity, -Infinity, Infinity, -Infinity],
  );
  const scale = Math.min(windowWidth() / (right - left + 3), (windowHeight() - 120) / (bottom - top + 3), 110);
  glideTo({ x: (left + right) / 2, y: (top + bottom) / 2 - 40 / scale, scale: limited(scale) });
}

/** To the next of what fits, or the one before it, and round. */
function walkHits(by) {
  const { all } = hits;
  if (all.length === 0) return;
  hits.at = hits.at < 0 ? (by > 0 ? 0 : all.length - 1) : (hits.at + by + all.length) % all.length;
  sayHits();
  if (box.open) open(all[hits.at]);
  else choose(all[hits.at]);
  reveal(all[hits.at]);
}

let pausing = 0;
function lookAndGo() {
  look();
  clearTimeout(pausing);
  if (picked.lit) pausing = setTimeout(goToHits, PAUSE);
}

/** Why a picture fits what is searched for, if it is not plain to see. */
function reasonFor(i) {
  if (!ranks || ranks[i] === 0 || ranks[i] === 1) return "";
  const byModel = wordsOfText().filter((word) => !haystack[i].includes(word));
  return `Found because the model sees: ${byModel.join(", ").toLowerCase()}`;
}

element("search").addEventListener("input", (event) => {
  looking.text = event.target.value;
  lookAndGo();
});
element("search").addEventListener("keydown", (event) => {
  const by = { Enter: event.shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !picked.lit) return;
  event.preventDefault();
  clearTimeout(pausing);
  walkHits(by);
});
element("earlier").addEventListener("click", () => walkHits(-1));
element("later").addEventListener("click", () => walkHits(1));

/** Fills in what pictures can be looked for by, and says in the field what is searched. */
function makeSearch() {
  const { caption, fields } = block("texts");
  const of = [
    caption.some(Boolean) && "captions",
    "file names",
    fields && "fields",
    block("words").names.length > 0 && "what pictures show",
  ].filter(Boolean);
  element("search").title = `Searches ${of.join(", ")}`;
  element("search").placeholder = `Search ${of[0]}${of.length > 1 ? ` and ${of.length > 2 ? "more" : of[1]}` : ""}`;
  makeFacets(lookAndGo);
}

why.of = reasonFor;

page.search = { looking, ask, hits, look, lookAndGo, goToHits, makeSearch };
