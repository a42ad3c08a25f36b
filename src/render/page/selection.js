// Pictures that one picks out, with a loop drawn around them or one by one, to take them along: as a list, as a table, or as a
// page that shows no others.

const { count, element, fileName } = page.data;
const { row, withRows } = page.rows;
const { eachWithin } = page.squares;
const { view, layout, crowd, isCrowd, tileSide, redraw, eachVisible, toWall } = page.view;
const { picked } = page.picked;
const { paint, colours } = page.paint;

const selected = new Set();
/** Whether a finger or the mouse draws a loop instead of moving the wall; and the loop, in cells. */
const loop = { on: false, points: [] };
let showOnly = () => {};

function tellSelected() {
  const bar = element("selection");
  bar.hidden = selected.size === 0 && !loop.on;
  const none = matchMedia("(pointer: coarse)").matches
    ? "Draw around pictures, or tap them"
    : "Draw around pictures, or click them";
  element("selected").textContent = selected.size === 0 ? none : `${selected.size.toLocaleString("en")} selected`;
  for (const id of ["only", "copy", "save"]) element(id).disabled = selected.size === 0;
  element("select").setAttribute("aria-pressed", String(loop.on));
  element("hits").hidden = !picked.lit;
  redraw();
}

function setLooping(on) {
  loop.on = on;
  loop.points = [];
  tellSelected();
}

function clearSelected() {
  selected.clear();
  setLooping(false);
}

function draw(px, py) {
  loop.points.push(toWall(px, py));
  redraw();
}

/** Takes what is inside the loop; a point is a tap, which picks one out or puts it back. */
function closeLoop(i) {
  const points = loop.points;
  loop.points = [];
  if (points.length < 3) {
    if (i >= 0 && !selected.delete(i)) selected.add(i);
  } else {
    const { x, y } = layout.to;
    const inSight = isCrowd(layout.to) ? crowd() : null;
    const [xs, ys] = [points.map(([at]) => at), points.map(([, at]) => at)];
    const around = (values) =>
      values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [values[0], values[0]]);
    const [[left, right], [top, bottom]] = [around(xs), around(ys)];
    eachWithin(layout.to, [left, top, right, bottom], (other) => {
      const seen = (!inSight || inSight.at[other] < inSight.shown) && (!picked.lit || picked.lit[other]);
      if (seen && inside(points, x[other], y[other])) selected.add(other);
    });
  }
  tellSelected();
}

/** Whether a ray from the point meets the loop an odd number of times. */
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
  if (loop.points.length < 2) return;
  paint.save();
  paint.translate(paint.canvas.clientWidth / 2, paint.canvas.clientHeight / 2);
  paint.scale(view.scale, view.scale);
  paint.translate(-view.x, -view.y);
  paint.lineWidth = 2 / view.scale;
  paint.strokeStyle = colours.accent;
  paint.setLineDash([6 / view.scale, 4 / view.scale]);
  paint.beginPath();
  for (const [x, y] of loop.points) paint.lineTo(x, y);
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
    // From disk there may be no clipboard to write to; there is always what is selected on the page.
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
  // A cell that begins like a formula is text to a spreadsheet if an apostrophe is before it.
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

element("select").addEventListener("click", () => (loop.on || selected.size > 0 ? clearSelected() : setLooping(true)));
element("copy").addEventListener("click", () => withRows(inOrder(), copyList));
element("save").addEventListener("click", () => withRows(inOrder(), saveTable));
element("clear").addEventListener("click", clearSelected);
element("only").addEventListener("click", () => {
  showOnly(inOrder());
  clearSelected();
});
element("hits").addEventListener("click", () => {
  for (let i = 0; i < count; i += 1) if (picked.lit?.[i]) selected.add(i);
  tellSelected();
});

/** `show` is called with the pictures that alone are to be shown. */
function makeSelection(show) {
  showOnly = show;
}

page.selection = { selected, loop, draw, closeLoop, clearSelected, drawSelected, makeSelection };
