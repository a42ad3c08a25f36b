// The selection: pictures chosen with a lasso or one by one, to be copied as a list, saved as a table, or shown alone.

const { count, element, fileName } = page.data;
const { row, withRows } = page.rows;
const { eachWithin } = page.spatial;
const { view, layout, thinned, isThinned, tileSide, redraw, eachVisible, toCells } = page.view;
const { highlight } = page.highlight;
const { paint, colours } = page.paint;

const selected = new Set();
/** Whether dragging draws a lasso instead of moving the view; and the points of the lasso, in cells. */
const lasso = { on: false, points: [] };
let showOnly = () => {};

function updateSelectionBar() {
  const bar = element("selection");
  bar.hidden = selected.size === 0 && !lasso.on;
  const hint = matchMedia("(pointer: coarse)").matches
    ? "Draw around pictures, or tap them"
    : "Draw around pictures, or click them";
  element("selected").textContent = selected.size === 0 ? hint : `${selected.size.toLocaleString("en")} selected`;
  for (const id of ["only", "copy", "save"]) element(id).disabled = selected.size === 0;
  element("select").setAttribute("aria-pressed", String(lasso.on));
  element("hits").hidden = !highlight.lit;
  redraw();
}

function setLasso(on) {
  lasso.on = on;
  lasso.points = [];
  updateSelectionBar();
}

function clearSelected() {
  selected.clear();
  setLasso(false);
}

function extendLasso(px, py) {
  lasso.points.push(toCells(px, py));
  redraw();
}

/**
 * Selects the visible pictures inside the lasso. A lasso of less than three points is a tap, which toggles picture `i`.
 */
function closeLasso(i) {
  const points = lasso.points;
  lasso.points = [];
  if (points.length < 3) {
    if (i >= 0 && !selected.delete(i)) selected.add(i);
  } else {
    const { x, y } = layout.to;
    const subset = isThinned(layout.to) ? thinned() : null;
    const [xs, ys] = [points.map(([at]) => at), points.map(([, at]) => at)];
    const range = (values) =>
      values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [values[0], values[0]]);
    const [[left, right], [top, bottom]] = [range(xs), range(ys)];
    eachWithin(layout.to, [left, top, right, bottom], (other) => {
      const isVisible = (!subset || subset.at[other] < subset.shown) && (!highlight.lit || highlight.lit[other]);
      if (isVisible && inside(points, x[other], y[other])) selected.add(other);
    });
  }
  updateSelectionBar();
}

/**
 * Whether a point is inside the lasso, by the even-odd rule: a ray from it crosses the lasso an odd number of times.
 */
function inside(points, x, y) {
  let odd = false;
  points.forEach(([x1, y1], n) => {
    const [x0, y0] = points[(n || points.length) - 1];
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) odd = !odd;
  });
  return odd;
}

function drawSelected() {
  const side = Math.max(6, tileSide() - 3);
  paint.lineWidth = 3;
  if (selected.size > 0) {
    paint.strokeStyle = colours.accent;
    eachVisible((i, px, py) => selected.has(i) && paint.strokeRect(px - side / 2, py - side / 2, side, side));
  }
  if (lasso.points.length < 2) return;
  paint.save();
  paint.translate(paint.canvas.clientWidth / 2, paint.canvas.clientHeight / 2);
  paint.scale(view.scale, view.scale);
  paint.translate(-view.x, -view.y);
  paint.lineWidth = 2 / view.scale;
  paint.strokeStyle = colours.accent;
  paint.setLineDash([6 / view.scale, 4 / view.scale]);
  paint.beginPath();
  for (const [x, y] of lasso.points) paint.lineTo(x, y);
  paint.stroke();
  paint.restore();
}

const inOrder = () => [...selected].sort((a, b) => a - b);

async function copyList() {
  const text = inOrder()
    .map((i) => row(i).path)
    .join("\n");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page opened from disk may not use the clipboard API; copying a selected text works everywhere.
    const area = document.createElement("textarea");
    area.value = text;
    element("selection").append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  element("selected").textContent = `${selected.size.toLocaleString("en")} paths copied`;
}

function saveTable() {
  // An apostrophe keeps spreadsheets from evaluating text that begins like a formula.
  const cell = (text) => `"${text.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const line = ({ path, caption, link }, i) => [path, caption, fileName(i), link].map(cell).join(",");
  const rows = inOrder().map((i) => line(row(i), i));
  const table = new Blob([`path,caption,name,link\n${rows.join("\n")}\n`], { type: "text/csv" });
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(table);
  anchor.download = "pictures.csv";
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}

element("select").addEventListener("click", () => (lasso.on || selected.size > 0 ? clearSelected() : setLasso(true)));
element("copy").addEventListener("click", () => withRows(inOrder(), copyList));
element("save").addEventListener("click", () => withRows(inOrder(), saveTable));
element("clear").addEventListener("click", clearSelected);
element("only").addEventListener("click", () => {
  showOnly(inOrder());
  clearSelected();
});
element("hits").addEventListener("click", () => {
  for (let i = 0; i < count; i += 1) if (highlight.lit?.[i]) selected.add(i);
  updateSelectionBar();
});

/** Sets the function that shows only these pictures. */
function makeSelection(show) {
  showOnly = show;
}

page.selection = { selected, lasso, extendLasso, closeLasso, clearSelected, drawSelected, makeSelection };
