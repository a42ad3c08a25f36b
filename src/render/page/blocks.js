// Layouts other than the grid have no sheets, so the page draws its own: square blocks of the layout, at scales of
// powers of two, which are drawn when they come into view and then cached. A frame copies a few dozen blocks, for any
// number of pictures.

const { wall } = page.data;
const { eachWithin } = page.spatial;
const { view, layout, frame, redraw, windowWidth, windowHeight, toCells, toWindow, dotSide } = page.view;
const { affordableLevel, loads, foundTile, findTile, drawFoundTile } = page.sheets;
const { highlight } = page.highlight;
const { paint, DIM, colours, inPasses } = page.paint;
const { dotsOn } = page.dots;

/** Side of a block in device pixels. */
const BLOCK = 512;
const MAX_BLOCKS = 96;
/** Milliseconds per frame for drawing missing blocks. Coarser blocks are shown in their place until they are drawn. */
const BLOCK_BUDGET = 6;

/** The cached blocks by level, column and row. */
const blocks = new Map();
/** The layout, lit pictures and background that the cached blocks show. */
let blocksFor = null;

/** Pixels of a cell in the blocks of a level. At level 0 the whole layout is one block. */
function blockScale(level) {
  const { width, height } = layout.to;
  return (2 ** level * BLOCK) / (Math.max(width, height) + 1);
}

function drawBlocks(ratio) {
  const [{ lit }, { ground }] = [highlight, colours];
  // The cached blocks are only valid for the same layout, lit pictures and background.
  if (blocksFor?.layout !== layout.to || blocksFor.lit !== lit || blocksFor.ground !== ground) {
    blocks.clear();
    blocksFor = { layout: layout.to, lit, ground };
  }
  const level = Math.max(0, Math.round(Math.log2((view.scale * ratio) / blockScale(0))));
  const deadline = performance.now() + BLOCK_BUDGET;
  const sheetLevel = affordableLevel(view.scale * ratio);
  let outOfTime = false;
  for (const drawnLevel of new Set([0, level])) {
    eachBlock(drawnLevel, (key, column, row) => {
      const cached = blocks.get(key);
      if (cached) cached.used = frame.number;
      if (cached && (cached.complete || cached.loads === loads.arrived)) return;
      // The coarsest block is always drawn, so that something can be shown everywhere.
      if (drawnLevel > 0 && performance.now() > deadline) outOfTime = true;
      else blocks.set(key, makeBlock(drawnLevel, column, row, drawnLevel > 0 ? sheetLevel : 0));
    });
  }
  // From coarse to sharp: where the sharp block is missing, the block of a coarser level shows.
  for (let drawnLevel = level > 0 && !outOfTime ? level : 0; drawnLevel <= level; drawnLevel += 1) {
    eachBlock(drawnLevel, (key, column, row) => blocks.has(key) && copyBlock(drawnLevel, column, row, blocks.get(key)));
  }
  if (outOfTime) redraw();
  dropOldest();
}

/** Calls `each` for every block of a level that the window shows, with its key, column and row. */
function eachBlock(level, each) {
  const size = BLOCK / blockScale(level);
  const [left, top] = toCells(0, 0);
  const [right, bottom] = toCells(windowWidth(), windowHeight());
  const last = (length) => Math.floor((length + 0.5) / size);
  const between = (v, length) => Math.min(last(length), Math.max(0, Math.floor((v + 0.5) / size)));
  for (let row = between(top, layout.to.height); row <= between(bottom, layout.to.height); row += 1) {
    for (let column = between(left, layout.to.width); column <= between(right, layout.to.width); column += 1) {
      each(`${level} ${column} ${row}`, column, row);
    }
  }
}

/**
 * Calls `each` for the pictures that a block shows at least in part, with their upper left corners in the block's
 * pixels.
 */
function eachInBlock(level, column, row, each) {
  const scale = blockScale(level);
  // Blocks begin half a cell before the layout, because pictures on the map may stick out of it.
  const [left, top] = [column * BLOCK - scale / 2, row * BLOCK - scale / 2];
  const { x, y } = layout.to;
  const inside = [left, top, left + BLOCK, top + BLOCK].map((edge, n) => edge / scale + (n < 2 ? -0.5 : 0.5));
  eachWithin(layout.to, inside, (i) => each(i, (x[i] - 0.5) * scale - left, (y[i] - 0.5) * scale - top));
}

/** Draws a block. It is incomplete, and drawn again later, if one of the sheets that it needs is still loading. */
function makeBlock(level, column, row, sheetLevel) {
  const canvas = document.createElement("canvas");
  canvas.width = BLOCK;
  canvas.height = BLOCK;
  const scale = blockScale(level);
  const isSmall = wall.dots || scale <= wall.levels[0].side;
  const dotPixels = wall.dots && layout.to.name === "map" ? dotSide(scale) : scale;
  const dots = isSmall ? dotsOn(canvas, dotPixels, colours.ground, highlight.lit, DIM) : null;
  if (dots) {
    // Lit pictures are drawn last, on top of the others.
    for (const litValue of highlight.lit ? [0, 1] : [null]) {
      eachInBlock(level, column, row, (i, px, py) => {
        if (litValue === null || highlight.lit[i] === litValue) dots.put(i, px + scale / 2, py + scale / 2);
      });
    }
    dots.done();
    return { canvas, complete: true, loads: loads.arrived, used: frame.number };
  }
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, BLOCK, BLOCK);
  const { side: wantedSide } = wall.levels[sheetLevel];
  let complete = true;
  const pass = (litValue) => {
    eachInBlock(level, column, row, (i, px, py) => {
      if (litValue !== null && highlight.lit[i] !== litValue) return;
      findTile(i, sheetLevel);
      complete &&= foundTile.side === wantedSide && foundTile.bitmap !== null;
      drawFoundTile(context, px, py, scale);
    });
  };
  inPasses(context, pass);
  return { canvas, complete, loads: loads.arrived, used: frame.number };
}

function copyBlock(level, column, row, { canvas }) {
  const size = BLOCK / blockScale(level);
  const [x, y] = toWindow(column * size - 0.5, row * size - 0.5).map(Math.round);
  const [right, bottom] = toWindow((column + 1) * size - 0.5, (row + 1) * size - 0.5).map(Math.round);
  paint.drawImage(canvas, x, y, right - x, bottom - y);
}

/** Drops the least recently used blocks. */
function dropOldest() {
  if (blocks.size <= MAX_BLOCKS) return;
  const oldest = [...blocks].sort(([, a], [, b]) => a.used - b.used);
  for (const [key] of oldest.slice(0, blocks.size - MAX_BLOCKS)) blocks.delete(key);
}

page.blocks = { drawBlocks };
