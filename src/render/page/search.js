// What is looked for: words, kinds, a time, columns of a table, a list of pictures. What fits is lit, the view goes there, and Enter
// walks through it, the best first.

const { wall, count, element, timeOf, kindOf } = page.data;
const { row, withRows } = page.rows;
const { plain, wordsIn, rankAll } = page.index;
const { layout, limited, glideTo, reveal, windowWidth, windowHeight } = page.view;
const { picked, light, choose } = page.picked;
const { box, open, why } = page.card;
const { asked, suits, tell, makeFacets } = page.facets;

/** The view goes to what is found once typing pauses for so many milliseconds. */
const PAUSE = 350;

/** What is looked for; changed by `ask`. */
const looking = { text: "", kinds: null, from: null, to: null, only: null };

/** Changes what is looked for. */
const ask = (what) => Object.assign(looking, what);

/** How well each picture fits what is searched for; null while nothing is. */
let ranks = null;
/** What fits, the best first; and which of it was gone to last. */
const hits = { all: [], at: -1 };

const wordsOfText = () => wordsIn(looking.text);
/** Counts the searches, as one may be overtaken by the next. */
let searches = 0;

/** Looks for all that is asked; calls `then` once what fits is lit. */
function look(then = () => {}) {
  searches += 1;
  const search = searches;
  rankAll(wordsOfText(), (found) => {
    if (search !== searches) return;
    ranks = found;
    lightAll();
    then();
  });
}

function lightAll() {
  const { only, from, to } = looking;
  const all = !ranks && !looking.kinds && from === null && to === null && !only && asked.size === 0;
  const fits = (i) =>
    (!ranks || ranks[i] > 0) &&
    (!only || only.has(i)) &&
    (!looking.kinds || looking.kinds.has(kindOf(i))) &&
    (from === null || timeOf(i) >= from) &&
    (to === null || timeOf(i) < to);
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
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const i of hits.all) {
    [left, right] = [Math.min(left, x[i]), Math.max(right, x[i])];
    [top, bottom] = [Math.min(top, y[i]), Math.max(bottom, y[i])];
  }
  const scale = Math.min(windowWidth() / (right - left + 3), (windowHeight() - 120) / (bottom - top + 3), 110);
  glideTo({ x: (left + right) / 2, y: (top + bottom) / 2 - 40 / scale, scale: limited(scale) });
}

/** To the next of what fits, or the one before it, and round. */
function walkHits(by) {
  const { all } = hits;
  if (all.length === 0) return;
  hits.at = hits.at < 0 ? (by > 0 ? 0 : all.length - 1) : (hits.at + by + all.length) % all.length;
  sayHits();
  const i = all[hits.at];
  withRows([i], () => {
    // What is behind another picture is seen in the opened cell alone.
    if (box.open || fileFor(i) > 0) open(i);
    else choose(i);
    reveal(i);
  });
}

let pausing = 0;
function lookAndGo() {
  clearTimeout(pausing);
  look(() => {
    clearTimeout(pausing);
    if (picked.lit) pausing = setTimeout(goToHits, PAUSE);
  });
}

/** What is written of a picture, without accents and case, and of each of those behind it. */
const written = ({ caption, path, fields, behind }) => [
  plain([caption, path, fields].flat(3).join("\n")),
  ...behind.map(([, path]) => plain(path)),
];

/** Why a picture fits what is searched for, if it is not plain to see. */
function reasonFor(i) {
  if (!ranks || ranks[i] === 0 || ranks[i] === 1) return "";
  const all = written(row(i)).join("\n");
  const byModel = wordsOfText().filter((word) => !all.includes(word));
  return `Found because the model sees: ${byModel.join(", ").toLowerCase()}`;
}

/** Which file of a picture was searched for: the one in front, unless only another one has all words. */
function fileFor(i) {
  const words = wordsOfText();
  if (!ranks || words.length === 0) return 0;
  return Math.max(
    0,
    written(row(i)).findIndex((text) => words.every((word) => text.includes(word))),
  );
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
  const of = wall.searched;
  element("search").title = `Searches ${of.join(", ")}`;
  element("search").placeholder = `Search ${of[0]}${of.length > 1 ? ` and ${of.length > 2 ? "more" : of[1]}` : ""}`;
  makeFacets(lookAndGo);
}

Object.assign(why, { of: reasonFor, file: fileFor });

page.search = { looking, ask, hits, look, lookAndGo, goToHits, walkHits, makeSearch };
