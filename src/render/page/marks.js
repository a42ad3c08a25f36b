// What is drawn over the pictures: seams, outlines of new pictures, the chosen one, labels.

const { wall, count, columns, columnOf, rowOf } = page.data;
const { view, layout, crowd, tileSide, ease, windowWidth, windowHeight, toWindow, eachVisible } = page.view;
const { picked } = page.picked;
const { paint, colours } = page.paint;

/** The colour of a shade of 0 to 255, as on the picture. */
function rampColour(shade) {
  const { ramp } = wall;
  const at = (shade / 255) * (ramp.length - 1);
  const k = Math.min(ramp.length - 2, Math.floor(at));
  return `rgb(${ramp[k].map((low, c) => Math.round(low + (ramp[k + 1][c] - low) * (at - k)))})`;
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

/** Below this side a frame is all of a tile. */
const LEAST_FRAMED = 5;
// From afar the frames of a grid are a picture of their own, a pixel for each cell; made once for what they are of.
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
  framePicture = { of, lit: picked.lit, canvas };
}

/**
 * Frames inside the tiles, in the colour that `colourOf` gives for a picture by what they are `of`, and by what is lit; none where that
 * is null.
 */
function drawFrames(width, of, colourOf) {
  if (tileSide() < LEAST_FRAMED && layout.share === 1 && layout.to.name === "grid") {
    if (framePicture.of !== of || framePicture.lit !== picked.lit) makeFramePicture(of, colourOf);
    const [x, y] = toWindow(0, 0).map(Math.round);
    const [right, bottom] = toWindow(wall.columns, wall.rows).map(Math.round);
    paint.imageSmoothingEnabled = false;
    paint.drawImage(framePicture.canvas, x, y, right - x, bottom - y);
    paint.imageSmoothingEnabled = true;
    return;
  }
  // Where a large wall has room for no more than dots, there is none for frames.
  if (tileSide() < LEAST_FRAMED && wall.folder) return;
  const side = Math.max(2, tileSide() - width);
  paint.lineWidth = width;
  eachVisible((i, px, py) => {
    const colour = colourOf(i);
    if (colour === null) return;
    paint.strokeStyle = colour;
    paint.strokeRect(px - side / 2, py - side / 2, side, side);
  });
}

/** Below this side of a tile there is no room for a number. */
const LEAST_COUNTED = 28;

/** In the corner of a picture with others behind it, how many they are together. */
function drawFolded() {
  const side = tileSide();
  if (!columns.folded || side < LEAST_COUNTED) return;
  const high = Math.max(13, Math.min(26, side / 5));
  paint.font = `600 ${Math.round(0.72 * high)}px system-ui, sans-serif`;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  eachVisible((i, px, py) => {
    const others = columns.folded[i];
    if (!others || (picked.lit && !picked.lit[i])) return;
    const text = (others + 1).toLocaleString("en");
    const wide = Math.max(high, paint.measureText(text).width + 0.7 * high);
    const [right, top] = [px + side / 2 - 2, py - side / 2 + 2];
    paint.fillStyle = "#000000b8";
    paint.beginPath();
    paint.roundRect(right - wide, top, wide, high, high / 2);
    paint.fill();
    paint.fillStyle = "#fff";
    paint.fillText(text, right - wide / 2, top + high / 2 + 0.5);
  });
}

function drawChosen() {
  const { chosen } = picked;
  const { from, to, share } = layout;
  const part = ease(share);
  const at = (axis) =>
    part < 1 ? from[axis][chosen] + (to[axis][chosen] - from[axis][chosen]) * part : to[axis][chosen];
  const [px, py] = toWindow(at("x"), at("y"));
  const side = Math.max(10, tileSide()) + 3;
  paint.lineWidth = 5;
  paint.strokeStyle = colours.ground;
  paint.strokeRect(px - side / 2, py - side / 2, side, side);
  paint.lineWidth = 2.5;
  paint.strokeStyle = colours.accent;
  paint.strokeRect(px - side / 2, py - side / 2, side, side);
}

/** Names on the map, and dates below the columns of time. */
function drawLabels() {
  if (layout.share < 1) return;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  paint.lineJoin = "round";
  // Labels that would run into the one before them are left out, in each of the two lines.
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

/** Years that are left out of the axis: two strokes across it. */
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

/** On the map, for how many pictures each of those that are seen stands. */
function drawCrowd() {
  const { at, behind } = crowd();
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

page.marks = { drawFrames, drawCrowd, drawFolded, drawSeams, drawNew, drawChosen, drawLabels };
