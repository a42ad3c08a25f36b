// One frame. A grid at rest is drawn sheet by sheet, anything else tile by tile, each from the level
// whose tiles are as large as they will be seen.

const paint = canvas.getContext("2d", { alpha: false });
const DIM = 0.13;
/** Larger pictures are used for at most so many tiles at a time. */
const MOST_SHARP = 30;

/** What is lit while something is looked for: 1 or 0 for each picture; null lights all. */
let lit = null;
let chosen = -1;
const shows = { seams: false, new: false };

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  colours = { ground: of("ground"), ink: of("ink"), accent: of("accent"), faint: of("faint") };
}

function draw() {
  const ratio = devicePixelRatio;
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.fillStyle = colours.ground;
  paint.fillRect(0, 0, windowWidth(), windowHeight());
  paint.imageSmoothingEnabled = true;
  const inGrid = layout.to.name === "grid" && layout.share === 1;
  if (inGrid) {
    drawSheets(ratio);
    if (lit) dimGrid();
  } else {
    drawTiles(ratio);
  }
  if (settled && view.scale * ratio > 150) drawSharp();
  if (shows.seams && inGrid) drawSeams();
  if (shows.new) drawNew();
  drawLabels();
  if (chosen >= 0) drawChosen();
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
  drawEmpty();
}

const emptyCells = [...inCell.keys()].filter((cell) => inCell[cell] < 0);

/** Cells without a picture look like what is around the wall, whatever sheets have there. */
function drawEmpty() {
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
      const bitmap = sheets.get(sheetKey(level, column, row))?.bitmap ?? (level === 0 ? sheet(0, column, row) : null);
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
let maskOf = null;

function dimGrid() {
  if (maskOf !== lit) {
    maskOf = lit;
    mask.width = wall.columns;
    mask.height = wall.rows;
    const pixels = new ImageData(wall.columns, wall.rows);
    for (let i = 0; i < count; i += 1) pixels.data[4 * wall.cells[i] + 3] = lit[i] ? 0 : 255;
    const context = mask.getContext("2d");
    context.putImageData(pixels, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, wall.columns, wall.rows);
  }
  const [x, y] = toWindow(0, 0);
  paint.globalAlpha = 1 - DIM;
  paint.imageSmoothingEnabled = false;
  paint.drawImage(mask, x, y, wall.columns * view.scale, wall.rows * view.scale);
  paint.imageSmoothingEnabled = true;
  paint.globalAlpha = 1;
}

/** Calls `each` for every picture that is in the window, with its middle in pixels. */
function eachVisible(each) {
  const { from, to, share } = layout;
  const part = ease(share);
  const [cx, cy, scale] = [windowWidth() / 2, windowHeight() / 2, view.scale];
  const [right, bottom, half] = [windowWidth(), windowHeight(), scale / 2];
  for (let i = 0; i < count; i += 1) {
    let x = to.x[i];
    let y = to.y[i];
    if (part < 1) {
      x = from.x[i] + (x - from.x[i]) * part;
      y = from.y[i] + (y - from.y[i]) * part;
    }
    const px = (x - view.x) * scale + cx;
    const py = (y - view.y) * scale + cy;
    if (px > -half && py > -half && px < right + half && py < bottom + half) each(i, px, py);
  }
}

function drawTiles(ratio) {
  const level = affordableLevel(view.scale * ratio);
  const side = view.scale;
  const pass = (only) => {
    eachVisible((i, px, py) => {
      if (only !== null && lit[i] !== only) return;
      findTile(i, level);
      if (found.bitmap) {
        paint.drawImage(
          found.bitmap,
          found.x,
          found.y,
          found.side,
          found.side,
          px - side / 2,
          py - side / 2,
          side,
          side,
        );
      }
    });
  };
  if (!lit) {
    pass(null);
    return;
  }
  paint.globalAlpha = DIM;
  pass(0);
  paint.globalAlpha = 1;
  pass(1);
}

/** Close by, the larger pictures take the place of the largest tiles. */
function drawSharp() {
  if (!wall.large) return;
  const visible = [];
  eachVisible((i, px, py) => {
    if (!lit || lit[i]) visible.push([i, px, py]);
  });
  if (visible.length > MOST_SHARP) return;
  const side = view.scale;
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

// The ramp of the picture's seams.
const RAMP = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];

function rampColour(shade) {
  const at = (shade / 255) * (RAMP.length - 1);
  const k = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[k].map((low, c) => Math.round(low + (RAMP[k + 1][c] - low) * (at - k)));
}

// From afar seams are a picture of their own, some pixels for each cell.
const SEAM_CELL = 6;
let seamPicture = null;

function makeSeamPicture() {
  const cell = Math.max(2, Math.min(SEAM_CELL, Math.floor(4096 / Math.max(wall.columns, wall.rows))));
  const picture = document.createElement("canvas");
  picture.width = wall.columns * cell;
  picture.height = wall.rows * cell;
  const context = picture.getContext("2d");
  block("likeness").seams.forEach(([right, below], i) => {
    const [x, y] = [columnOf(i) * cell, rowOf(i) * cell];
    if (right !== null) {
      context.fillStyle = `rgb(${rampColour(right)})`;
      context.fillRect(x + cell - 1, y, 1, cell);
    }
    if (below !== null) {
      context.fillStyle = `rgb(${rampColour(below)})`;
      context.fillRect(x, y + cell - 1, cell, 1);
    }
  });
  return picture;
}

function drawSeams() {
  if (view.scale < 20) {
    seamPicture ??= makeSeamPicture();
    const [x, y] = toWindow(0, 0);
    paint.drawImage(seamPicture, x, y, wall.columns * view.scale, wall.rows * view.scale);
    return;
  }
  const { seams } = block("likeness");
  const width = Math.max(2, view.scale / 14);
  const half = view.scale / 2;
  eachVisible((i, px, py) => {
    const [right, below] = seams[i];
    if (right !== null) {
      paint.fillStyle = `rgb(${rampColour(right)})`;
      paint.fillRect(px + half - width / 2, py - half, width, view.scale);
    }
    if (below !== null) {
      paint.fillStyle = `rgb(${rampColour(below)})`;
      paint.fillRect(px - half, py + half - width / 2, view.scale, width);
    }
  });
}

let newOnes = null;

function drawNew() {
  newOnes ??= new Set(block("facts").new);
  const width = Math.max(1.5, view.scale / 16);
  paint.strokeStyle = "rgb(255 122 0)";
  paint.lineWidth = width;
  const side = Math.max(2, view.scale - width);
  eachVisible((i, px, py) => {
    if (newOnes.has(i)) paint.strokeRect(px - side / 2, py - side / 2, side, side);
  });
}

function drawChosen() {
  const { from, to, share } = layout;
  const part = ease(share);
  const at = (axis) =>
    part < 1 ? from[axis][chosen] + (to[axis][chosen] - from[axis][chosen]) * part : to[axis][chosen];
  const [px, py] = toWindow(at("x"), at("y"));
  const side = Math.max(10, view.scale) + 3;
  paint.lineWidth = 5;
  paint.strokeStyle = colours.ground;
  paint.strokeRect(px - side / 2, py - side / 2, side, side);
  paint.lineWidth = 2.5;
  paint.strokeStyle = colours.accent;
  paint.strokeRect(px - side / 2, py - side / 2, side, side);
}

function drawLabels() {
  if (layout.share < 1) return;
  paint.font = "13px system-ui, sans-serif";
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  let edge = Number.NEGATIVE_INFINITY;
  for (const { text, x, y, below } of layout.to.labels) {
    const [px, py] = toWindow(x, y);
    const width = paint.measureText(text).width;
    if (px + width / 2 < 0 || px - width / 2 > windowWidth() || py < 0 || py > windowHeight() + 20) continue;
    if (below) {
      // Labels that would run into the one before them are left out.
      if (px - width / 2 < edge + 10) continue;
      edge = px + width / 2;
      paint.fillStyle = colours.faint;
      paint.fillText(text, px, py + 16);
    } else {
      paint.lineWidth = 4;
      paint.lineJoin = "round";
      paint.strokeStyle = colours.ground;
      paint.strokeText(text, px, py);
      paint.fillStyle = colours.ink;
      paint.fillText(text, px, py);
    }
  }
}

// Where one is, in small: the whole layout from the roughest sheet, and a frame.

const overview = element("overview");
const OVERVIEW = 150;
const small = document.createElement("canvas");
let smallOf = "";

function drawOverview() {
  const of = layout.to;
  const [left, top] = toWall(0, 0);
  const [right, bottom] = toWall(windowWidth(), windowHeight());
  const seen = Math.min(right, of.width) - Math.max(left, 0) > of.width * 0.9;
  const whole = seen && Math.min(bottom, of.height) - Math.max(top, 0) > of.height * 0.9;
  overview.hidden = whole || layout.share < 1 || windowHeight() < 420;
  if (overview.hidden) return;
  const scale = OVERVIEW / Math.max(of.width, of.height);
  const [width, height] = [of.width * scale, of.height * scale].map((side) => Math.max(8, Math.round(side)));
  if (smallOf !== `${of.name} ${devicePixelRatio}`) drawSmall(of, width, height, scale);
  const context = overview.getContext("2d");
  if (overview.width !== small.width || overview.height !== small.height) {
    overview.width = small.width;
    overview.height = small.height;
    overview.style.width = `${width}px`;
    overview.style.height = `${height}px`;
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(small, 0, 0);
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.lineWidth = 2;
  context.strokeStyle = colours.accent;
  context.strokeRect(
    left * scale,
    top * scale,
    Math.max(4, (right - left) * scale),
    Math.max(4, (bottom - top) * scale),
  );
}

function drawSmall(of, width, height, scale) {
  small.width = width * devicePixelRatio;
  small.height = height * devicePixelRatio;
  const context = small.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 0.8;
  let complete = true;
  const side = Math.max(1, scale);
  for (let i = 0; i < count; i += 1) {
    findTile(i, 0);
    complete &&= found.bitmap !== null;
    if (found.bitmap) {
      const [x, y] = [of.x[i] * scale, of.y[i] * scale];
      context.drawImage(found.bitmap, found.x, found.y, found.side, found.side, x - side / 2, y - side / 2, side, side);
    }
  }
  smallOf = complete ? `${of.name} ${devicePixelRatio}` : "";
}

function lookThere(event) {
  if (event.type === "pointermove" && event.buttons === 0) return;
  const box = overview.getBoundingClientRect();
  const of = layout.to;
  frame.glide = null;
  view.x = ((event.clientX - box.left) / box.width) * of.width;
  view.y = ((event.clientY - box.top) / box.height) * of.height;
  goal.scale = view.scale;
  keepInside();
  redraw();
}
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  lookThere(event);
});
overview.addEventListener("pointermove", lookThere);
