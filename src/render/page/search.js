// The query: words, kinds, a time range, facets, a list of pictures. Pictures that match it are lit, the view moves to
// them, and Enter steps through them, best first.

const { wall, count, element, timeOf, kindOf } = page.data;
const { row, withRows } = page.rows;
const { normalized, wordsIn, rankAll } = page.index;
const { layout, clampScale, glideTo, reveal, windowWidth, windowHeight } = page.view;
const { highlight, setLit, focusPicture } = page.highlight;
const { box, open, matchReason } = page.card;
const { facetFilters, passesFilters, updateCounts, makeFacets } = page.facets;

/** The view moves to the results once typing pauses for this many milliseconds. */
const PAUSE = 350;

/** The query. Other files change it by `updateQuery`. */
const query = { text: "", kinds: null, from: null, to: null, only: null };

const updateQuery = (changes) => Object.assign(query, changes);

/** The rank of each picture for the words of the query; null without words. */
let ranks = null;
/** The results, best first, and the index of the one that was shown last. */
const hits = { all: [], at: -1 };

const wordsOfText = () => wordsIn(query.text);
/** Number of the newest search. An older one that ends later is ignored. */
let searches = 0;

/** Runs the query, and calls `then` once the results are lit. */
function runSearch(then = () => {}) {
  searches += 1;
  const search = searches;
  rankAll(wordsOfText(), (found) => {
    if (search !== searches) return;
    ranks = found;
    applyFilters();
    then();
  });
}

function applyFilters() {
  const { only, from, to } = query;
  const isEmpty = !ranks && !query.kinds && from === null && to === null && !only && facetFilters.size === 0;
  const fits = (i) =>
    (!ranks || ranks[i] > 0) &&
    (!only || only.has(i)) &&
    (!query.kinds || query.kinds.has(kindOf(i))) &&
    (from === null || timeOf(i) >= from) &&
    (to === null || timeOf(i) < to);
  updateCounts(fits);
  const lit = isEmpty ? null : Uint8Array.from({ length: count }, (_, i) => (fits(i) && passesFilters(i) ? 1 : 0));
  hits.all = lit ? [...lit.keys()].filter((i) => lit[i]) : [];
  if (ranks) hits.all.sort((a, b) => ranks[b] - ranks[a] || a - b);
  hits.at = -1;
  element("more").classList.toggle(
    "active",
    Boolean(query.kinds) || from !== null || to !== null || facetFilters.size > 0,
  );
  element("reset").hidden = isEmpty;
  setLit(lit);
  showHitCount();
}

function showHitCount() {
  const number = (value) => value.toLocaleString("en");
  const { all, at } = hits;
  element("found").hidden = !highlight.lit;
  element("count").textContent =
    all.length === 0
      ? "nothing found"
      : at < 0
        ? `${number(all.length)} of ${number(count)}`
        : `${number(at + 1)} of ${number(all.length)}`;
  for (const id of ["earlier", "later"]) element(id).disabled = all.length === 0;
}

/** Moves the view so that it shows all results. */
function zoomToHits() {
  if (hits.all.length === 0) return;
  const { x, y } = layout.to;
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const i of hits.all) {
    [left, right] = [Math.min(left, x[i]), Math.max(right, x[i])];
    [top, bottom] = [Math.min(top, y[i]), Math.max(bottom, y[i])];
  }
  const scale = Math.min(windowWidth() / (right - left + 3), (windowHeight() - 120) / (bottom - top + 3), 110);
  glideTo({ x: (left + right) / 2, y: (top + bottom) / 2 - 40 / scale, scale: clampScale(scale) });
}

/** Goes to the next or previous result, and from the last one to the first. */
function stepHits(by) {
  const { all } = hits;
  if (all.length === 0) return;
  hits.at = hits.at < 0 ? (by > 0 ? 0 : all.length - 1) : (hits.at + by + all.length) % all.length;
  showHitCount();
  const i = all[hits.at];
  withRows([i], () => {
    // A picture behind another one is only visible in the box.
    if (box.open || fileFor(i) > 0) open(i);
    else focusPicture(i);
    reveal(i);
  });
}

let zoomTimer = 0;
function searchAndZoom() {
  clearTimeout(zoomTimer);
  runSearch(() => {
    clearTimeout(zoomTimer);
    if (highlight.lit) zoomTimer = setTimeout(zoomToHits, PAUSE);
  });
}

/**
 * The normalised text of each file of a cell: caption, path and fields of the picture in front, and the paths of those
 * behind it.
 */
const textsOf = ({ caption, path, fields, behind }) => [
  normalized([caption, path, fields].flat(3).join("\n")),
  ...behind.map(([, path]) => normalized(path)),
];

/** Why a picture was found, if its texts do not show it: the words that only the model has for it. */
function reasonFor(i) {
  if (!ranks || ranks[i] === 0 || ranks[i] === 1) return "";
  const all = textsOf(row(i)).join("\n");
  const byModel = wordsOfText().filter((word) => !all.includes(word));
  return `Found because the model sees: ${byModel.join(", ").toLowerCase()}`;
}

/** Which file of a cell matches: the first whose texts have all words of the query, or the one in front (0). */
function fileFor(i) {
  const words = wordsOfText();
  if (!ranks || words.length === 0) return 0;
  return Math.max(
    0,
    textsOf(row(i)).findIndex((text) => words.every((word) => text.includes(word))),
  );
}

element("search").addEventListener("input", (event) => {
  query.text = event.target.value;
  searchAndZoom();
});
element("search").addEventListener("keydown", (event) => {
  const by = { Enter: event.shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !highlight.lit) return;
  event.preventDefault();
  clearTimeout(zoomTimer);
  stepHits(by);
});
element("earlier").addEventListener("click", () => stepHits(-1));
element("later").addEventListener("click", () => stepHits(1));

/** Makes the facets, and describes in the search field what is searched. */
function makeSearch() {
  const searched = wall.searched;
  element("search").title = `Searches ${searched.join(", ")}`;
  element("search").placeholder =
    `Search ${searched[0]}${searched.length > 1 ? ` and ${searched.length > 2 ? "more" : searched[1]}` : ""}`;
  makeFacets(searchAndZoom);
}

Object.assign(matchReason, { of: reasonFor, file: fileFor });

page.search = { query, updateQuery, hits, runSearch, searchAndZoom, zoomToHits, stepHits, makeSearch };
