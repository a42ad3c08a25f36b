// Start of the page: the grid is drawn as soon as its first sheet is loaded, everything else once all columns are.

const { wall, count, element, withChunks, withColumns, isReady, setReady } = { ...page.chunks, ...page.data };
const { facetChunks } = page.facets;
const { makeDots } = page.dots;
const { possibleLayouts } = page.layouts;
const { canvas, view, layout, redraw, frameSteps, windowWidth, windowHeight } = page.view;
const { wholeView, jumpTo, zoomBy, showAll, reveal, switchTo } = page.view;
const { highlight, setFocused, focusPicture } = page.highlight;
const { historyEntry, hideCard, open, neighbourInDirection } = page.card;
const { makePanels, closePanels, chooseLayout } = page.controls;
const { clearSelected } = page.selection;
const { writeAddress, readAddress } = page.address;

element("title").textContent = wall.title;
canvas.setAttribute("aria-label", `Picture grid: ${wall.title}`);
for (const button of document.querySelectorAll("#layouts button")) {
  button.addEventListener("click", () => {
    if (button.classList.contains("lacking")) remark(NO_TIME);
    else chooseLayout(button.dataset.layout);
  });
}

// The canvas is hidden until the first frame, because it would be black.
frameSteps.push(() => canvas.classList.add("drawn"));

function fit() {
  canvas.width = Math.round(windowWidth() * devicePixelRatio);
  canvas.height = Math.round(windowHeight() * devicePixelRatio);
  redraw();
}
new ResizeObserver(fit).observe(canvas);

frameSteps.push(page.draw.draw, page.sheets.loadWanted, writeAddress);

page.paint.readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  page.paint.readColours();
  redraw();
});

switchTo(wall.hasCells ? "grid" : "map");
jumpTo(wholeView(layout.to));
fit();

/** Starts the interaction once all columns are loaded. */
function begin() {
  // Layouts that were computed before the columns were loaded are wrong.
  page.layouts.forget();
  const possible = possibleLayouts();
  for (const button of document.querySelectorAll("#layouts button")) {
    const isPossible = possible.includes(button.dataset.layout);
    // The button for the time layout stays: pressing it explains that there are no dates.
    button.hidden = !isPossible && button.dataset.layout !== "time";
    button.classList.toggle("lacking", !isPossible);
  }
  element("layouts").hidden = possible.length < 2;
  makePanels();
  readAddress();
  setReady();
  addEventListener("hashchange", () => historyEntry.left || readAddress());
}

// All other data are requested after the grid has been drawn.
document.addEventListener("DOMContentLoaded", () =>
  withColumns(() => withChunks(facetChunks(), () => makeDots(begin))),
);

element("help").addEventListener("click", () => element("keys-box").showModal());
element("closer").addEventListener("click", () => zoomBy(1.6));
element("farther").addEventListener("click", () => zoomBy(1 / 1.6));
element("all").addEventListener("click", showAll);

element("layouts").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const buttons = [...document.querySelectorAll("#layouts button:not([hidden], .lacking)")];
  const current = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
  const next = buttons[(current + by + buttons.length) % buttons.length];
  chooseLayout(next.dataset.layout);
  next.focus();
});

/** Shows a short message for a few seconds. */
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
  Enter: () => highlight.focused >= 0 && open(highlight.focused),
  " ": () => highlight.focused >= 0 && open(highlight.focused),
  Escape: () => {
    clearSelected();
    setFocused(-1);
    hideCard();
  },
  "?": () => element("keys-box").showModal(),
  ArrowLeft: () => stepFocus(-1, 0),
  ArrowRight: () => stepFocus(1, 0),
  ArrowUp: () => stepFocus(0, -1),
  ArrowDown: () => stepFocus(0, 1),
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

// Keyboard shortcuts work everywhere on the page, except for keys that the focused control needs itself.
document.addEventListener("keydown", (event) => {
  if (
    !isReady() ||
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

/**
 * Moves the focus to the next picture in a direction. The first focused picture is the one in the centre of the window.
 */
function stepFocus(dx, dy) {
  const { focused } = highlight;
  const next = focused < 0 ? nearestToMiddle() : neighbourInDirection(focused, dx, dy);
  if (next < 0) return;
  hideCard();
  focusPicture(next);
  reveal(next);
}

function nearestToMiddle() {
  const { lit } = highlight;
  let [best, shortest] = [-1, Number.POSITIVE_INFINITY];
  for (let i = 0; i < count; i += 1) {
    const distance = Math.hypot(layout.to.x[i] - view.x, layout.to.y[i] - view.y);
    if (distance < shortest && (!lit || lit[i])) [best, shortest] = [i, distance];
  }
  return best;
}
