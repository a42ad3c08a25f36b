// Draws a frame. A grid at rest is drawn sheet by sheet, anything else tile by tile or, for many pictures, block by
// block. Each is taken from the level whose tiles have the size that they have on the screen.

const { wall, count, columns, pictureInCell, columnsLoaded, isReady } = page.data;
const { view, layout, tileSide, redraw, windowWidth, windowHeight, toCells, toWindow, ease, eachVisible, isThinned } =
  page.view;
const { STOP } = page.spatial;
const { levelFor, affordableLevel, perSheet, sheet, loadedSheet, largePicture, findTile, drawFoundTile } = page.sheets;
const { highlight, overlays } = page.highlight;
const { paint, DIM, colours, inPasses } = page.paint;
const { drawBlocks } = page.blocks;
const { dotsOn, affordable } = page.dots;
const { drawCoveredCounts, drawStackCounts, drawSeams, drawNew, drawFocused, drawLabels } = page.marks;
const { drawGroups } = page.groups;
const { drawTints } = page.tints;
const { drawSelected } = page.selection;
const { drawOverview } = page.overview;

/** The larger pictures are used if at most this many pictures are visible. */
const MAX_SHARP = 30;

function draw() {
  const ratio = devicePixelRatio;
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.fillStyle = colours.ground;
  paint.fillRect(0, 0, windowWidth(), windowHeight());
  paint.imageSmoothingEnabled = true;
  const inGrid = layout.to.name === "grid" && layout.progress === 1;
  if (inGrid) {
    drawSheets(ratio);
    if (highlight.lit) dimGrid();
  } else {
    drawPictures(ratio);
  }
  if (isReady() && tileSide() * ratio > 150) drawSharp();
  if (overlays.seams && inGrid) drawSeams();
  // During a transition a large grid has no frames around its pictures, since they take too long to draw.
  const framed = layout.progress === 1 || !wall.folder;
  if (framed) drawTints();
  if (framed && overlays.new) drawNew();
  if (isReady() && isThinned(layout.to) && layout.progress === 1) drawCoveredCounts();
  if (isReady()) {
    drawStackCounts();
    drawGroups();
  }
  drawLabels();
  if (framed) drawSelected();
  if (highlight.focused >= 0) drawFocused();
  drawOverview();
}

/** The sheets of a level that the window shows: first and last column, first and last row. */
function visibleSheets(level) {
  const per = perSheet[level];
  const [left, top] = toCells(0, 0);
  const [right, bottom] = toCells(windowWidth(), windowHeight());
  const clamp = (v, length) => Math.min(Math.ceil(length / per) - 1, Math.max(0, Math.floor(v / per)));
  return {
    columns: [clamp(left, wall.columns), clamp(right, wall.columns)],
    rows: [clamp(top, wall.rows), clamp(bottom, wall.rows)],
  };
}

function drawSheets(ratio) {
  const best = levelFor(view.scale * ratio);
  // From coarse to sharp: where a sharp sheet is not loaded yet, a coarser one shows.
  const { columns, rows } = visibleSheets(best);
  let complete = true;
  for (let row = rows[0]; row <= rows[1]; row += 1) {
    for (let column = columns[0]; column <= columns[1]; column += 1) {
      if (!sheet(best, column, row)) complete = false;
    }
  }
  for (let level = complete ? best : 0; level <= best; level += 1) drawLevel(level);
  drawGaps();
  drawEmpty();
}

/** Draws gaps between the tiles, so that neighbours with similar content do not merge. */
function drawGaps() {
  const gap = view.scale < 14 ? 0 : Math.max(1, Math.round(view.scale / 48));
  if (gap === 0) return;
  paint.fillStyle = colours.ground;
  const [left, top] = toWindow(0, 0).map(Math.round);
  const [right, bottom] = toWindow(wall.columns, wall.rows).map(Math.round);
  for (let column = 1; column < wall.columns; column += 1) {
    const x = Math.round(toWindow(column, 0)[0]);
    if (x > -gap && x < windowWidth() + gap) paint.fillRect(x - Math.floor(gap / 2), top, gap, bottom - top);
  }
  for (let row = 1; row < wall.rows; row += 1) {
    const y = Math.round(toWindow(0, row)[1]);
    if (y > -gap && y < windowHeight() + gap) paint.fillRect(left, y - Math.floor(gap / 2), right - left, gap);
  }
}

let emptyCells = null;

/** Cells without a picture get the colour around the grid. On the sheets they have the background of the tiles. */
function drawEmpty() {
  if (!columnsLoaded()) return;
  emptyCells ??= [...pictureInCell.keys()].filter((cell) => pictureInCell[cell] < 0);
  paint.fillStyle = colours.ground;
  for (const cell of emptyCells) {
    const [column, row] = [cell % wall.columns, Math.floor(cell / wall.columns)];
    const [x, y] = toWindow(column, row).map(Math.round);
    const [right, bottom] = toWindow(column + 1, row + 1).map(Math.round);
    if (right >= 0 && bottom >= 0 && x <= windowWidth() && y <= windowHeight())
      paint.fillRect(x, y, right - x, bottom - y);
  }
}

function drawLevel(level) {
  const { side } = wall.levels[level];
  const per = perSheet[level];
  const { columns, rows } = visibleSheets(level);
  for (let row = rows[0]; row <= rows[1]; row += 1) {
    for (let column = columns[0]; column <= columns[1]; column += 1) {
      const bitmap = level === 0 ? sheet(0, column, row) : loadedSheet(level, column, row);
      if (!bitmap) continue;
      // Edges are rounded to whole pixels, otherwise a line would show between sheets.
      const [x, y] = toWindow(column * per, row * per).map(Math.round);
      const [right, bottom] = toWindow(column * per + bitmap.width / side, row * per + bitmap.height / side).map(
        Math.round,
      );
      paint.drawImage(bitmap, x, y, right - x, bottom - y);
    }
  }
}

// To dim pictures that are not lit, an image with one pixel per cell is drawn over the grid.
const mask = document.createElement("canvas");
/** What the mask was drawn for. */
let maskOf = { lit: null, ground: "" };

function dimGrid() {
  const [{ lit }, { ground }] = [highlight, colours];
  if (maskOf.lit !== lit || maskOf.ground !== ground) {
    maskOf = { lit, ground };
    mask.width = wall.columns;
    mask.height = wall.rows;
    const pixels = new ImageData(wall.columns, wall.rows);
    for (let i = 0; i < count; i += 1) pixels.data[4 * columns.cells[i] + 3] = lit[i] ? 0 : 255;
    const context = mask.getContext("2d");
    context.putImageData(pixels, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = ground;
    context.fillRect(0, 0, wall.columns, wall.rows);
  }
  // Rounded to whole pixels like the sheets.
  const [x, y] = toWindow(0, 0).map(Math.round);
  const [right, bottom] = toWindow(wall.columns, wall.rows).map(Math.round);
  paint.globalAlpha = 1 - DIM;
  paint.imageSmoothingEnabled = false;
  paint.drawImage(mask, x, y, right - x, bottom - y);
  paint.imageSmoothingEnabled = true;
  paint.globalAlpha = 1;
}

/** Largest number of pictures that are drawn one by one while the view moves, and when it is at rest. */
const [MAX_MOVING, MAX_AT_REST] = [600, 12_000];
let restTimer = 0;
let atRest = false;

/** Draws the pictures one by one if they are few, or if the view is at rest; otherwise in blocks. */
function drawPictures(ratio) {
  let visible = 0;
  // A thinned map never has too many pictures, so they need not be counted.
  if (layout.progress === 1 && !isThinned(layout.to)) {
    eachVisible(() => {
      visible += 1;
      return visible > MAX_AT_REST ? STOP : null;
    });
  }
  if (layout.progress < 1 && drawMoving()) return;
  if (visible <= MAX_MOVING || (atRest && visible <= MAX_AT_REST)) {
    drawTiles(ratio);
  } else {
    drawBlocks(ratio);
    clearTimeout(restTimer);
    if (visible > MAX_AT_REST) return;
    restTimer = setTimeout(() => {
      atRest = true;
      redraw();
    }, 200);
  }
  atRest = false;
}

const moving = document.createElement("canvas");

/** Draws all pictures during a transition, as a few pixels each. Returns false if these pixels are not available. */
function drawMoving() {
  const [width, height] = [windowWidth(), windowHeight()];
  if (moving.width !== width || moving.height !== height) Object.assign(moving, { width, height });
  const dots = dotsOn(moving, Math.min(tileSide(), affordable), colours.ground, highlight.lit, DIM);
  if (!dots) return false;
  const part = ease(layout.progress);
  const [{ x: fromX, y: fromY }, { x: toX, y: toY }] = [layout.from, layout.to];
  const [{ scale }, cx, cy] = [view, width / 2 - view.x * view.scale, height / 2 - view.y * view.scale];
  for (let i = 0; i < count; i += 1) {
    const x = fromX[i] + (toX[i] - fromX[i]) * part;
    const y = fromY[i] + (toY[i] - fromY[i]) * part;
    dots.put(i, x * scale + cx, y * scale + cy);
  }
  dots.done();
  paint.drawImage(moving, 0, 0);
  return true;
}

function drawTiles(ratio) {
  const side = tileSide();
  const level = affordableLevel(side * ratio);
  const previousCells = layout.progress < 1 && layout.from.name === "before" ? columns.before : null;
  inPasses(paint, (litValue) => {
    eachVisible((i, px, py) => {
      if (litValue !== null && highlight.lit[i] !== litValue) return;
      findTile(i, level);
      // In the replay of a growth, new pictures fade in while the others make room.
      if (previousCells?.[i] < 0) paint.globalAlpha = layout.progress ** 2;
      drawFoundTile(paint, px - side / 2, py - side / 2, side);
      if (previousCells?.[i] < 0) paint.globalAlpha = 1;
    });
  });
}

/** At high zoom, draws the larger pictures over the largest tiles. */
function drawSharp() {
  if (!wall.large) return;
  const visible = [];
  eachVisible((i, px, py) => {
    if (!highlight.lit || highlight.lit[i]) visible.push([i, px, py]);
    return visible.length > MAX_SHARP ? STOP : null;
  });
  if (visible.length > MAX_SHARP) return;
  const side = tileSide();
  for (const [i, px, py] of visible) {
    const bitmap = largePicture(i);
    if (bitmap) drawFitted(bitmap, px - side / 2, py - side / 2, side);
  }
}

/** Draws a picture into a square with the fit of the tiles. */
function drawFitted(bitmap, x, y, side) {
  const { width, height } = bitmap;
  if (wall.fit === "stretch") {
    paint.drawImage(bitmap, x, y, side, side);
  } else if (wall.fit === "cover") {
    const short = Math.min(width, height);
    paint.drawImage(bitmap, (width - short) / 2, (height - short) / 2, short, short, x, y, side, side);
  } else {
    const scale = side / Math.max(width, height);
    const [w, h] = [width * scale, height * scale];
    paint.fillStyle = wall.background;
    paint.fillRect(x, y, side, side);
    paint.drawImage(bitmap, x + (side - w) / 2, y + (side - h) / 2, w, h);
  }
}

page.draw = { draw, moving };
