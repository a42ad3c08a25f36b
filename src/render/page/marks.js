// Marks over the pictures: seams, outlines of new pictures, the focused picture, numbers, labels.

const { wall, count, columns, columnOf, rowOf } = page.data;
const { view, layout, thinned, tileSide, ease, windowWidth, windowHeight, toWindow, eachVisible } = page.view;
const { highlight } = page.highlight;
const { paint, colours } = page.paint;

/** The colour of a shade from 0 to 255, the same as on the drawn grid. */
function rampColour(shade) {
  const { ramp } = wall;
  const position = (shade / 255) * (ramp.length - 1);
  const k = Math.min(ramp.length - 2, Math.floor(position));
  return `rgb(${ramp[k].map((low, c) => Math.round(low + (ramp[k + 1][c] - low) * (position - k)))})`;
}

// At low zoom the seams are drawn from a cached image with a few pixels per cell.
const SEAM_CELL = 6;
let seamPicture = null;

function makeSeamPicture() {
  const cell = Math.max(2, Math.min(SEAM_CELL, Math.floor(4096 / Math.max(wall.columns, wall.rows))));
  const picture = document.createElement("canvas");
  picture.width = wall.columns * cell;
  picture.height = wall.rows * cell;
  const context = picture.getContext("2d");
  columns.right.forEach((right, i) => {
    const [below, x, y] = [columns.below[i], columnOf(i) * cell, rowOf(i) * cell];
    if (right >= 0) {
      context.fillStyle = rampColour(right);
      context.fillRect(x + cell - 1, y, 1, cell);
    }
    if (below >= 0) {
      context.fillStyle = rampColour(below);
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
  // Each picture draws the two borders to its right and below it, so every border is drawn once.
  const width = Math.max(2, view.scale / 14);
  const half = view.scale / 2;
  eachVisible((i, px, py) => {
    const [right, below] = [columns.right[i], columns.below[i]];
    if (right >= 0) {
      paint.fillStyle = rampColour(right);
      paint.fillRect(px + half - width / 2, py - half, width, view.scale);
    }
    if (below >= 0) {
      paint.fillStyle = rampColour(below);
      paint.fillRect(px - half, py + half - width / 2, view.scale, width);
    }
  });
}

function drawNew() {
  drawFrames(Math.max(1.5, tileSide() / 16), columns.fresh, (i) => (columns.fresh[i] ? wall.newColour : null));
}

/** A frame covers tiles with a smaller side than this, in pixels, completely. */
const MIN_FRAMED_SIDE = 5;
// At low zoom the frames of a grid are drawn from a cached image with one pixel per cell.
let framePicture = { of: null, lit: null, canvas: null };

function makeFramePicture(of, colourOf) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [wall.columns, wall.rows];
  const context = canvas.getContext("2d");
  for (let i = 0; i < count; i += 1) {
    const colour = colourOf(i);
    if (colour === null) continue;
    context.fillStyle = colour;
    context.fillRect(columnOf(i), rowOf(i), 1, 1);
  }
  framePicture = { of, lit: highlight.lit, canvas };
}

/**
 * Draws frames inside the tiles, in the colour that `colourOf` returns for a picture; null draws none. The colours
 * depend on the data `of` and on the lit pictures, and the cached image is drawn again when either changes.
 */
function drawFrames(width, of, colourOf) {
  if (tileSide() < MIN_FRAMED_SIDE && layout.progress === 1 && layout.to.name === "grid") {
    if (framePicture.of !== of || framePicture.lit !== highlight.lit) makeFramePicture(of, colourOf);
    const [x, y] = toWindow(0, 0).map(Math.round);
    const [right, bottom] = toWindow(wall.columns, wall.rows).map(Math.round);
    paint.imageSmoothingEnabled = false;
    paint.drawImage(framePicture.canvas, x, y, right - x, bottom - y);
    paint.imageSmoothingEnabled = true;
    return;
  }
  // In the other layouts of a large grid, small tiles are drawn as dots, which have no frames.
  if (tileSide() < MIN_FRAMED_SIDE && wall.folder) return;
  const side = Math.max(2, tileSide() - width);
  paint.lineWidth = width;
  eachVisible((i, px, py) => {
    const colour = colourOf(i);
    if (colour === null) return;
    paint.strokeStyle = colour;
    paint.strokeRect(px - side / 2, py - side / 2, side, side);
  });
}

/** Tiles with a smaller side than this, in pixels, have no room for a number. */
const MIN_COUNTED_SIDE = 28;

/** Draws the number of pictures that share a cell into the corner of the picture in front. */
function drawStackCounts() {
  const side = tileSide();
  if (!columns.folded || side < MIN_COUNTED_SIDE) return;
  const height = Math.max(13, Math.min(26, side / 5));
  paint.font = `600 ${Math.round(0.72 * height)}px system-ui, sans-serif`;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  eachVisible((i, px, py) => {
    const others = columns.folded[i];
    if (!others || (highlight.lit && !highlight.lit[i])) return;
    const text = (others + 1).toLocaleString("en");
    const width = Math.max(height, paint.measureText(text).width + 0.7 * height);
    const [right, top] = [px + side / 2 - 2, py - side / 2 + 2];
    paint.fillStyle = "#000000b8";
    paint.beginPath();
    paint.roundRect(right - width, top, width, height, height / 2);
    paint.fill();
    paint.fillStyle = "#fff";
    paint.fillText(text, right - width / 2, top + height / 2 + 0.5);
  });
}

/**
 * Draws a frame around the focused picture, on a wider one in the background colour, so that it shows on any picture.
 */
function drawFocused() {
  const { focused } = highlight;
  const { from, to, progress } = layout;
  const part = ease(progress);
  const at = (axis) =>
    part < 1 ? from[axis][focused] + (to[axis][focused] - from[axis][focused]) * part : to[axis][focused];
  const [px, py] = toWindow(at("x"), at("y"));
  const side = Math.max(10, tileSide()) + 3;
  paint.lineWidth = 5;
  paint.strokeStyle = colours.ground;
  paint.strokeRect(px - side / 2, py - side / 2, side, side);
  paint.lineWidth = 2.5;
  paint.strokeStyle = colours.accent;
  paint.strokeRect(px - side / 2, py - side / 2, side, side);
}

/** Draws the labels of the layout: names on the map, dates below the columns of the time layout. */
function drawLabels() {
  if (layout.progress < 1) return;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  paint.lineJoin = "round";
  // In each of the two lines, a label that would overlap the one before it is omitted.
  const edges = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { text, x, y, below, isHeading, isBreak } of layout.to.labels) {
    const [px, py] = toWindow(x, y);
    paint.font = `${isHeading ? "600 " : ""}13px system-ui, sans-serif`;
    const width = paint.measureText(text).width;
    if (px + width / 2 < 0 || px - width / 2 > windowWidth() || py < 0 || py > windowHeight() + 40) continue;
    if (below) {
      const line = isHeading ? 1 : 0;
      if (px - width / 2 < edges[line] + 10) continue;
      edges[line] = px + width / 2;
      if (isBreak) drawBreak(px, py);
      paint.fillStyle = isHeading ? colours.ink : colours.faint;
      paint.fillText(text, px, py + 16 + 18 * line);
    } else {
      paint.lineWidth = 4;
      paint.strokeStyle = colours.ground;
      paint.strokeText(text, px, py);
      paint.fillStyle = colours.ink;
      paint.fillText(text, px, py);
    }
  }
}

/** Draws the mark for a gap in the time axis: two strokes. */
function drawBreak(px, py) {
  paint.lineWidth = 2;
  paint.strokeStyle = colours.faint;
  paint.beginPath();
  for (const dx of [-3, 3]) {
    paint.moveTo(px + dx - 3, py + 7);
    paint.lineTo(px + dx + 3, py - 7);
  }
  paint.stroke();
}

/** On the map, draws how many further pictures each visible one represents. */
function drawCoveredCounts() {
  const { at, behind } = thinned();
  paint.font = "600 11px system-ui, sans-serif";
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  const half = tileSide() / 2;
  eachVisible((i, px, py) => {
    const covered = behind[at[i]];
    if (covered === 0) return;
    const text = `+${covered.toLocaleString("en")}`;
    const width = paint.measureText(text).width + 8;
    paint.fillStyle = colours.ink;
    paint.beginPath();
    paint.roundRect(px + half - width + 3, py + half - 12, width, 15, 7);
    paint.fill();
    paint.fillStyle = colours.ground;
    paint.fillText(text, px + half - width / 2 + 3, py + half - 4);
  });
}

page.marks = { drawFrames, drawCoveredCounts, drawStackCounts, drawSeams, drawNew, drawFocused, drawLabels };
