// The beginning: the wall is drawn as soon as its sheet is there, everything else when all data are.

element("title").textContent = wall.title;
canvas.setAttribute("aria-label", `Wall of ${wall.title}`);
for (const button of document.querySelectorAll("#layouts button")) {
  button.addEventListener("click", () => chooseLayout(button.dataset.layout));
}

function fit() {
  canvas.width = Math.round(windowWidth() * devicePixelRatio);
  canvas.height = Math.round(windowHeight() * devicePixelRatio);
  redraw();
}
new ResizeObserver(fit).observe(canvas);

readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  maskOf = null;
  smallOf = "";
  blocks.clear();
  redraw();
});

switchTo(wall.hasCells ? "grid" : "map");
Object.assign(view, wholeView(layout.to));
goal.scale = view.scale;
fit();

document.addEventListener("DOMContentLoaded", () => {
  // Now labels can be had too.
  made.clear();
  layout.to = null;
  const possible = possibleLayouts();
  for (const button of document.querySelectorAll("#layouts button")) {
    button.hidden = !possible.includes(button.dataset.layout);
  }
  element("layouts").hidden = possible.length < 2;
  makePanel();
  recall();
  settled = true;
  addEventListener("hashchange", recall);
});

element("closer").addEventListener("click", () => zoomBy(1.6));
element("farther").addEventListener("click", () => zoomBy(1 / 1.6));
element("all").addEventListener("click", showAll);

element("layouts").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const buttons = [...document.querySelectorAll("#layouts button:not([hidden])")];
  const at = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
  const next = buttons[(at + by + buttons.length) % buttons.length];
  chooseLayout(next.dataset.layout);
  next.focus();
});

const keys = {
  "+": () => zoomBy(1.6),
  "=": () => zoomBy(1.6),
  "-": () => zoomBy(1 / 1.6),
  0: showAll,
  "/": () => element("search").focus(),
  Enter: () => chosen >= 0 && open(chosen),
  " ": () => chosen >= 0 && open(chosen),
  Escape: () => {
    chosen = -1;
    hideCard();
    redraw();
  },
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
  keys[key] = () => possibleLayouts().includes(name) && chooseLayout(name);
}

// The keys work wherever one is on the page, but controls keep their own.
document.addEventListener("keydown", (event) => {
  if (!settled || box.open || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.target.closest("input, button");
  if (!keys[key] || control?.matches("input") || (control && /^(Enter| |Arrow.*)$/.test(key))) return;
  event.preventDefault();
  keys[key]();
});

/** With the arrow keys from picture to picture; the first one is in the middle of the window. */
function walk(dx, dy) {
  const next = chosen < 0 ? nearestToMiddle() : inDirection(chosen, dx, dy);
  if (next < 0) return;
  hideCard();
  choose(next);
  reveal(next);
}

function nearestToMiddle() {
  let [best, least] = [-1, Number.POSITIVE_INFINITY];
  for (let i = 0; i < count; i += 1) {
    const distance = Math.hypot(layout.to.x[i] - view.x, layout.to.y[i] - view.y);
    if (distance < least && (!lit || lit[i])) [best, least] = [i, distance];
  }
  return best;
}
