// One frame. A grid at rest is drawn sheet by sheet, anything else tile by tile or, where there are many,
// block by block; each from the level whose tiles are as large as they will be seen.

const { wall, count, columns, inCell, isThere, isSettled } = page.data;
const { view, layout, tileSide, redraw, windowWidth, windowHeight, toWall, toWindow, ease, eachVisible, isCrowd } =
  page.view;
const { STOP } = page.squares;
const { levelFor, affordableLevel, perSheet, sheet, sheetAtHand, largePicture, found, findTile } = page.sheets;
const { picked, shows } = page.picked;
const { paint, DIM, colours, inPasses } = page.paint;
const { drawBlocks } = page.blocks;
const { dotsOn, affordable } = page.dots;
const { drawCrowd, drawFolded, drawSeams, drawNew, drawChosen, drawLabels } = page.marks;
const { drawGroups } = page.groups;
const { drawTints } = page.tints;
const { drawSelected } = page.selection;
const { drawOverview } = page.overview;

/** Larger pictures are used for at most so many tiles at a time. */
const MOST_SHARP = 30;

function draw() {
  const ratio = devicePixelRatio;
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.fillStyle = colours.ground;
  paint.fillRect(0, 0, windowWidth(), windowHeight());
  paint.imageSmoothingEnabled = true;
  const inGrid = layout.to.name === "grid" && layout.share === 1;
  if (inGrid) {
    drawSheets(ratio);
    if (picked.lit) dimGrid();
  } else {
    drawPictures(ratio);
  }
  if (isSettled() && tileSide() * ratio > 150) drawSharp();
  if (shows.seams && inGrid) drawSeams();
  // What moves by the ten thousand has no frames.
  const framed = layout.share === 1 || !wall.folder;
  if (framed) drawTints();
  if (framed && shows.new) drawNew();
  if (isSettled() && isCrowd(layout.to) && layout.share === 1) drawCrowd();
  if (isSettled()) {
    drawFolded();
    drawGroups();
  }
  drawLabels();
  if (framed) drawSelected();
  if (picked.chosen >= 0) drawChosen();
  drawOverview();
}

/** The sheets of a level that are in the window: their columns and rows, first and last. */
function visibleSheets(level) {
  const per = perSheet[level];
  const [left, top] = toWall(0, 0);
  const [right, bottom] = toWall(windowWidth(), windowHeight());
  const clamp = (v, length) => Math.min(Math.ceil(length / per) - 1, Math.max(0, Math.floor(v / per)));
  return {
    columns: [clamp(left, wall.columns), clamp(right, wall.columns)],
    rows: [clamp(top, wall.rows), clamp(bottom, wall.rows)],
  };
}

function drawSheets(ratio) {
  const best = levelFor(view.scale * ratio);
  // From rough to sharp: where the sharp sheet is not there yet, a rough one shows through.
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

/** Tiles keep a little apart, so that one forest does not run into the next. */
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

/** Cells without a picture look like what is around the wall, whatever sheets have there. */
function drawEmpty() {
  if (!isThere()) return;
  emptyCells ??= [...inCell.keys()].filter((cell) => inCell[cell] < 0);
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
      const bitmap = level === 0 ? sheet(0, column, row) : sheetAtHand(level, column, row);
      if (!bitmap) continue;
      // Edges on whole pixels, so that no line shows between sheets.
      const [x, y] = toWindow(column * per, row * per).map(Math.round);
      const [right, bottom] = toWindow(column * per + bitmap.width / side, row * per + bitmap.height / side).map(
        Math.round,
      );
      paint.drawImage(bitmap, x, y, right - x, bottom - y);
    }
  }
}

// A picture of one pixel for each cell lies over the grid: what is not looked for is covered.
const mask = document.createElement("canvas");
let maskOf = { lit: null, ground: "" };

function dimGrid() {
  const [{ lit }, { ground }] = [picked, colours];
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
  // On whole pixels, as the sheets are.
  const [x, y] = toWindow(0, 0).map(Math.round);
  const [right, bottom] = toWindow(wall.columns, wall.rows).map(Math.round);
  paint.globalAlpha = 1 - DIM;
  paint.imageSmoothingEnabled = false;
  paint.drawImage(mask, x, y, right - x, bottom - y);
  paint.imageSmoothingEnabled = true;
  paint.globalAlpha = 1;
}

/** More pictures than this in the window take too long to be drawn one by one while it moves; and than this in any case. */
const [CROWD, MOST] = [600, 12_000];
let resting = 0;
let atRest = false;

/** One by one where they move among themselves, are few, or where nothing moves any more. */
function drawPictures(ratio) {
  let seen = 0;
  // There is room for so many on the map as can be drawn.
  if (layout.share === 1 && !isCrowd(layout.to)) {
    eachVisible(() => {
      seen += 1;
      return seen > MOST ? STOP : null;
    });
  }
  if (layout.share < 1 && drawMoving()) return;
  if (seen <= CROWD || (atRest && seen <= MOST)) {
    drawTiles(ratio);
  } else {
    drawBlocks(ratio);
    clearTimeout(resting);
    if (seen > MOST) return;
    resting = setTimeout(() => {
      atRest = true;
      redraw();
    }, 200);
  }
  atRest = false;
}

const moving = document.createElement("canvas");

/** Many pictures on their way from one layout to the next; false if their pixels are not there. */
function drawMoving() {
  const [width, height] = [windowWidth(), windowHeight()];
  if (moving.width !== width || moving.height !== height) Object.assign(moving, { width, height });
  const dots = dotsOn(moving, Math.min(tileSide(), affordable), colours.ground, picked.lit, DIM);
  if (!dots) return false;
  const part = ease(layout.share);
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
  const cells = layout.share < 1 && layout.from.name === "before" ? columns.before : null;
  inPasses(paint, (only) => {
    eachVisible((i, px, py) => {
      if (only !== null && picked.lit[i] !== only) return;
      findTile(i, level);
      const { bitmap, x, y, side: from } = found;
      if (!bitmap) return;
      // What was not there before comes in as the others make room.
      if (cells?.[i] < 0) paint.globalAlpha = layout.share ** 2;
      paint.drawImage(bitmap, x, y, from, from, px - side / 2, py - side / 2, side, side);
      if (cells?.[i] < 0) paint.globalAlpha = 1;
    });
  });
}

/** Close by, the larger pictures take the place of the largest tiles. */
function drawSharp() {
  if (!wall.large) return;
  const visible = [];
  eachVisible((i, px, py) => {
    if (!picked.lit || picked.lit[i]) visible.push([i, px, py]);
    return visible.length > MOST_SHARP ? STOP : null;
  });
  if (visible.length > MOST_SHARP) return;
  const side = tileSide();
  for (const [i, px, py] of visible) {
    const bitmap = largePicture(i);
    if (bitmap) drawFitted(bitmap, px - side / 2, py - side / 2, side);
  }
}

/** Draws a picture into a square as tiles are filled. */
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
