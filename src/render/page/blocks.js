// Layouts other than the grid have no sheets of their own, so the page makes them: squares of the layout
// at scales of powers of two, drawn when they are first seen and kept. A frame is then a few dozen blits,
// however many pictures there are.

const { wall } = page.data;
const { eachWithin } = page.squares;
const { view, layout, frame, redraw, windowWidth, windowHeight, toWall, toWindow, dotSide } = page.view;
const { affordableLevel, loads, found, findTile } = page.sheets;
const { picked } = page.picked;
const { paint, DIM, colours, inPasses } = page.paint;
const { dotsOn } = page.dots;

const BLOCK = 512;
const MOST_BLOCKS = 96;
/** Milliseconds of a frame that go into blocks that are lacking; what is rougher stands in for them. */
const BLOCK_BUDGET = 6;

const blocks = new Map();
let blocksOf = null;

/** Pixels of a cell in the blocks of a level; level 0 is a layout in one block. */
function blockScale(level) {
  const { width, height } = layout.to;
  return (2 ** level * BLOCK) / (Math.max(width, height) + 1);
}

function drawBlocks(ratio) {
  const [{ lit }, { ground }] = [picked, colours];
  // Other pictures are lit, or it is another layout or colour: none of the blocks is right any more.
  if (blocksOf?.layout !== layout.to || blocksOf.lit !== lit || blocksOf.ground !== ground) {
    blocks.clear();
    blocksOf = { layout: layout.to, lit, ground };
  }
  const level = Math.max(0, Math.round(Math.log2((view.scale * ratio) / blockScale(0))));
  const deadline = performance.now() + BLOCK_BUDGET;
  const best = affordableLevel(view.scale * ratio);
  let late = false;
  for (const l of new Set([0, level])) {
    eachBlock(l, (key, column, row) => {
      const known = blocks.get(key);
      if (known) known.used = frame.number;
      if (known && (known.complete || known.loads === loads.arrived)) return;
      // The roughest one is never missing.
      if (l > 0 && performance.now() > deadline) late = true;
      else blocks.set(key, makeBlock(l, column, row, l > 0 ? best : 0));
    });
  }
  // From rough to sharp: what is there of the levels between shows where the sharp block is not there yet.
  for (let l = level > 0 && !late ? level : 0; l <= level; l += 1) {
    eachBlock(l, (key, column, row) => blocks.has(key) && putBlock(l, column, row, blocks.get(key)));
  }
  if (late) redraw();
  forgetOldest();
}

/** Calls `each` for every block of a level that is in the window. */
function eachBlock(level, each) {
  const size = BLOCK / blockScale(level);
  const [left, top] = toWall(0, 0);
  const [right, bottom] = toWall(windowWidth(), windowHeight());
  const last = (length) => Math.floor((length + 0.5) / size);
  const between = (v, length) => Math.min(last(length), Math.max(0, Math.floor((v + 0.5) / size)));
  for (let row = between(top, layout.to.height); row <= between(bottom, layout.to.height); row += 1) {
    for (let column = between(left, layout.to.width); column <= between(right, layout.to.width); column += 1) {
      each(`${level} ${column} ${row}`, column, row);
    }
  }
}

/** Calls `each` for the pictures that are at least in part in a block, with their left upper corners in its pixels. */
function eachIn(level, column, row, each) {
  const scale = blockScale(level);
  // Half a cell of room at the edges of the layout, where pictures on the map stick out.
  const [left, top] = [column * BLOCK - scale / 2, row * BLOCK - scale / 2];
  const { x, y } = layout.to;
  const inside = [left, top, left + BLOCK, top + BLOCK].map((at, n) => at / scale + (n < 2 ? -0.5 : 0.5));
  eachWithin(layout.to, inside, (i) => each(i, (x[i] - 0.5) * scale - left, (y[i] - 0.5) * scale - top));
}

/** Draws the pictures that are in a block; incomplete as long as one of their sheets is on its way. */
function makeBlock(level, column, row, best) {
  const canvas = document.createElement("canvas");
  canvas.width = BLOCK;
  canvas.height = BLOCK;
  const scale = blockScale(level);
  const small = wall.dots || scale <= wall.levels[0].side;
  const side = wall.dots && layout.to.name === "map" ? dotSide(scale) : scale;
  const dots = small ? dotsOn(canvas, side, colours.ground, picked.lit, DIM) : null;
  if (dots) {
    // What is lit lies on top.
    for (const only of picked.lit ? [0, 1] : [null]) {
      eachIn(level, column, row, (i, px, py) => {
        if (only === null || picked.lit[i] === only) dots.put(i, px + scale / 2, py + scale / 2);
      });
    }
    dots.done();
    return { canvas, complete: true, loads: loads.arrived, used: frame.number };
  }
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, BLOCK, BLOCK);
  const { side: sharp } = wall.levels[best];
  let complete = true;
  const pass = (only) => {
    eachIn(level, column, row, (i, px, py) => {
      if (only !== null && picked.lit[i] !== only) return;
      findTile(i, best);
      complete &&= found.side === sharp && found.bitmap !== null;
      if (found.bitmap) context.drawImage(found.bitmap, found.x, found.y, found.side, found.side, px, py, scale, scale);
    });
  };
  inPasses(context, pass);
  return { canvas, complete, loads: loads.arrived, used: frame.number };
}

function putBlock(level, column, row, { canvas }) {
  const size = BLOCK / blockScale(level);
  const [x, y] = toWindow(column * size - 0.5, row * size - 0.5).map(Math.round);
  const [right, bottom] = toWindow((column + 1) * size - 0.5, (row + 1) * size - 0.5).map(Math.round);
  paint.drawImage(canvas, x, y, right - x, bottom - y);
}

/** Lets go of the blocks that have not been seen for the longest time. */
function forgetOldest() {
  if (blocks.size <= MOST_BLOCKS) return;
  const oldest = [...blocks].sort(([, a], [, b]) => a.used - b.used);
  for (const [key] of oldest.slice(0, blocks.size - MOST_BLOCKS)) blocks.delete(key);
}

page.blocks = { drawBlocks };
