// What is drawn over the pictures: seams, outlines of new pictures, the chosen one, labels.

const { block, wall, columnOf, rowOf } = page.data;
const { view, layout, ease, windowWidth, windowHeight, toWindow, eachVisible } = page.view;
const { picked } = page.picked;
const { paint, colours } = page.paint;

/** The colour of a shade of 0 to 255, as on the picture. */
function rampColour(shade) {
  const { ramp } = block("likeness");
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
  block("likeness").seams.forEach(([right, below], i) => {
    const [x, y] = [columnOf(i) * cell, rowOf(i) * cell];
    if (right !== null) {
      context.fillStyle = rampColour(right);
      context.fillRect(x + cell - 1, y, 1, cell);
    }
    if (below !== null) {
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
  const { seams } = block("likeness");
  const width = Math.max(2, view.scale / 14);
  const half = view.scale / 2;
  eachVisible((i, px, py) => {
    const [right, below] = seams[i];
    if (right !== null) {
      paint.fillStyle = rampColour(right);
      paint.fillRect(px + half - width / 2, py - half, width, view.scale);
    }
    if (below !== null) {
      paint.fillStyle = rampColour(below);
      paint.fillRect(px - half, py + half - width / 2, view.scale, width);
    }
  });
}

let newOnes = null;

function drawNew() {
  newOnes ??= new Set(block("facts").new);
  const width = Math.max(1.5, view.scale / 16);
  paint.strokeStyle = block("facts").newColour;
  paint.lineWidth = width;
  const side = Math.max(2, view.scale - width);
  eachVisible((i, px, py) => {
    if (newOnes.has(i)) paint.strokeRect(px - side / 2, py - side / 2, side, side);
  });
}

function drawChosen() {
  const { chosen } = picked;
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

page.marks = { drawSeams, drawNew, drawChosen, drawLabels };
