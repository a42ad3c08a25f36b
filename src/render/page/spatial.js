// A spatial index of a layout: squares of some cells, each with its pictures. It finds the pictures in the window
// without a pass over all of them.

const { count } = page.data;

/** Side of a square in cells. */
const SIDE = 8;
/** Cells added to the layout's width and height, so that centres at its very edge have a square too. */
const MARGIN = 1;

const indexes = new WeakMap();

function spatialIndexOf(of) {
  if (!indexes.has(of)) indexes.set(of, buildIndex(of));
  return indexes.get(of);
}

/** Sorts the pictures by their squares (counting sort). `starts` is where each square's pictures begin. */
function buildIndex({ x, y, width, height }) {
  const [across, down] = [width, height].map((length) => Math.floor((length + MARGIN) / SIDE) + 1);
  const square = (i) => Math.floor(y[i] / SIDE) * across + Math.floor(x[i] / SIDE);
  const starts = new Uint32Array(across * down + 1);
  for (let i = 0; i < count; i += 1) starts[square(i) + 1] += 1;
  for (let number = 0; number < across * down; number += 1) starts[number + 1] += starts[number];
  const next = starts.slice();
  const pictures = new Uint32Array(count);
  for (let i = 0; i < count; i += 1) {
    const number = square(i);
    pictures[next[number]] = i;
    next[number] += 1;
  }
  return { across, down, starts, pictures };
}

/** `eachWithin` ends when `each` returns this. */
const STOP = Symbol("stop");

/** Calls `each` for every picture whose centre is in a rectangle of the layout, given in cells. */
function eachWithin(of, [left, top, right, bottom], each) {
  const { across, down, starts, pictures } = spatialIndexOf(of);
  const { x, y } = of;
  const clamp = (v, length) => Math.min(length - 1, Math.max(0, Math.floor(v / SIDE)));
  const [first, last] = [clamp(left, across), clamp(right, across)];
  for (let row = clamp(top, down); row <= clamp(bottom, down); row += 1) {
    const end = starts[row * across + last + 1];
    for (let n = starts[row * across + first]; n < end; n += 1) {
      const i = pictures[n];
      const inside = x[i] >= left && x[i] <= right && y[i] >= top && y[i] <= bottom;
      if (inside && each(i) === STOP) return;
    }
  }
}

page.spatial = { eachWithin, STOP };
