// Which pictures are where in a layout: squares of some cells, each with its pictures. So what is in the window is found without
// a look at all others.

const { count } = page.data;

/** Cells of a square's side. */
const SIDE = 8;
/** Half a cell of room, since pictures on the map may stick out of the layout. */
const ROOM = 1;

const known = new WeakMap();

function squaresOf(of) {
  if (!known.has(of)) known.set(of, sorted(of));
  return known.get(of);
}

/** The pictures sorted by their squares, and where each square's begin. */
function sorted({ x, y, width, height }) {
  const [across, down] = [width, height].map((length) => Math.floor((length + ROOM) / SIDE) + 1);
  const square = (i) => Math.floor(y[i] / SIDE) * across + Math.floor(x[i] / SIDE);
  const starts = new Uint32Array(across * down + 1);
  for (let i = 0; i < count; i += 1) starts[square(i) + 1] += 1;
  for (let s = 0; s < across * down; s += 1) starts[s + 1] += starts[s];
  const next = starts.slice();
  const pictures = new Uint32Array(count);
  for (let i = 0; i < count; i += 1) {
    const s = square(i);
    pictures[next[s]] = i;
    next[s] += 1;
  }
  return { across, down, starts, pictures };
}

/** Ends `eachWithin`, where `each` returns it. */
const STOP = Symbol("stop");

/** Calls `each` for every picture whose middle is in a rectangle of the layout, in cells. */
function eachWithin(of, [left, top, right, bottom], each) {
  const { across, down, starts, pictures } = squaresOf(of);
  const { x, y } = of;
  const clamp = (v, most) => Math.min(most - 1, Math.max(0, Math.floor(v / SIDE)));
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

page.squares = { eachWithin, STOP };
