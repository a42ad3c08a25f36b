// The beginning: the wall is drawn as soon as its sheet is there, everything else when all data are.

const { wall, count, element, withTiles, withColumns, isSettled, settle } = { ...page.tiles, ...page.data };
const { facetTiles } = page.facets;
const { makeDots } = page.dots;
const { possibleLayouts } = page.layouts;
const { canvas, view, layout, redraw, steps, windowWidth, windowHeight } = page.view;
const { wholeView, jumpTo, zoomBy, showAll, reveal, switchTo } = page.view;
const { picked, mark, choose } = page.picked;
const { entry, hideCard, open, inDirection } = page.card;
const { makePanels, closePanels, chooseLayout } = page.controls;
const { clearSelected } = page.selection;
const { remember, recall } = page.address;

element("title").textContent = wall.title;
canvas.setAttribute("aria-label", `Wall of ${wall.title}`);
for (const button of document.querySelectorAll("#layouts button")) {
  button.addEventListener("click", () => {
    if (button.classList.contains("lacking")) remark(NO_TIME);
    else chooseLayout(button.dataset.layout);
  });
}

// Until the first frame the canvas would be black.
steps.push(() => canvas.classList.add("drawn"));

function fit() {
  canvas.width = Math.round(windowWidth() * devicePixelRatio);
  canvas.height = Math.round(windowHeight() * devicePixelRatio);
  redraw();
}
new ResizeObserver(fit).observe(canvas);

steps.push(page.draw.draw, page.sheets.loadWanted, remember);

page.paint.readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  page.paint.readColours();
  redraw();
});

switchTo(wall.hasCells ? "grid" : "map");
jumpTo(wholeView(layout.to));
fit();

/** Begins once all numbers are there. */
function begin() {
  // The layouts know their pictures now.
  page.layouts.forget();
  const possible = possibleLayouts();
  for (const button of document.querySelectorAll("#layouts button")) {
    const there = possible.includes(button.dataset.layout);
    // That there is no time is said when it is asked for.
    button.hidden = !there && button.dataset.layout !== "time";
    button.classList.toggle("lacking", !there);
  }
  element("layouts").hidden = possible.length < 2;
  makePanels();
  recall();
  settle();
  addEventListener("hashchange", () => entry.left || recall());
}

// The wall is drawn before anything else is asked for.
document.addEventListener("DOMContentLoaded", () => withColumns(() => withTiles(facetTiles(), () => makeDots(begin))));

element("help").addEventListener("click", () => element("keys-box").showModal());
element("closer").addEventListener("click", () => zoomBy(1.6));
element("farther").addEventListener("click", () => zoomBy(1 / 1.6));
element("all").addEventListener("click", showAll);

element("layouts").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const buttons = [...document.querySelectorAll("#layouts button:not([hidden], .lacking)")];
  const at = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
  const next = buttons[(at + by + buttons.length) % buttons.length];
  chooseLayout(next.dataset.layout);
  next.focus();
});

/** A line that passes: why something does nothing. */
function remark(text) {
  const note = element("remark");
  note.textContent = text;
  note.hidden = false;
  clearTimeout(remark.passing);
  remark.passing = setTimeout(() => {
    note.hidden = true;
  }, 4000);
}
const NO_TIME = "None of these pictures has a date";

const keys = {
  "+": () => zoomBy(1.6),
  "=": () => zoomBy(1.6),
  "-": () => zoomBy(1 / 1.6),
  0: showAll,
  "/": () => element("search").focus(),
  Enter: () => picked.chosen >= 0 && open(picked.chosen),
  " ": () => picked.chosen >= 0 && open(picked.chosen),
  Escape: () => {
    clearSelected();
    mark(-1);
    hideCard();
  },
  "?": () => element("keys-box").showModal(),
  ArrowLeft: () => walk(-1, 0),
  ArrowRight: () => walk(1, 0),
  ArrowUp: () => walk(0, -1),
  ArrowDown: () => walk(0, 1),
};
for (const [key, name] of [
  ["g", "grid"],
  ["m", "map"],
  ["t", "time"],
]) {
  keys[key] = () => {
    if (possibleLayouts().includes(name)) chooseLayout(name);
    else if (name === "time") remark(NO_TIME);
  };
}

// The keys work wherever one is on the page, but controls keep their own.
document.addEventListener("keydown", (event) => {
  if (
    !isSettled() ||
    document.querySelector("dialog[open]") ||
    event.defaultPrevented ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey
  )
    return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.target.closest("input, button, select, textarea");
  if (key === "Escape" && closePanels()) return;
  if (!keys[key] || control?.matches("input, select, textarea") || (control && /^(Enter| |Arrow.*)$/.test(key))) return;
  event.preventDefault();
  keys[key]();
});

/** With the arrow keys from picture to picture; the first one is in the middle of the window. */
function walk(dx, dy) {
  const { chosen } = picked;
  const next = chosen < 0 ? nearestToMiddle() : inDirection(chosen, dx, dy);
  if (next < 0) return;
  hideCard();
  choose(next);
  reveal(next);
}

function nearestToMiddle() {
  const { lit } = picked;
  let [best, least] = [-1, Number.POSITIVE_INFINITY];
  for (let i = 0; i < count; i += 1) {
    const distance = Math.hypot(layout.to.x[i] - view.x, layout.to.y[i] - view.y);
    if (distance < least && (!lit || lit[i])) [best, least] = [i, distance];
  }
  return best;
}
