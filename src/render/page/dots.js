// Draws the pictures of a large grid pixel by pixel, for transitions between layouts and for small sizes. The pixels
// are those of the first level's sheets. These come as data, because browsers do not let a page opened from disk read
// the pixels of image files.

const { wall, count, chunk, withChunks, bytesOf } = page.chunks;
const { columns } = page.data;

/** Largest number of pixels to set in a frame, so that it is drawn in time. */
const MAX_PIXELS = 2e6;

/** The pixels of the whole first level, its width in pixels, and the side of a tile; null until they are loaded. */
let firstLevel = null;
/** The index of each picture's first pixel in them. */
let starts = null;

async function read() {
  const sheets = (chunk("rough-0") ?? []).map((text) => createImageBitmap(new Blob([bytesOf(text)])));
  const bitmaps = await Promise.all(sheets);
  const { side } = wall.levels[0];
  const across = wall.columns * side;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [across, wall.rows * side];
  const context = canvas.getContext("2d");
  const perRow = Math.ceil(across / wall.sheet);
  bitmaps.forEach((bitmap, n) => {
    context.drawImage(bitmap, (n % perRow) * wall.sheet, Math.floor(n / perRow) * wall.sheet);
  });
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  starts = columns.cells.map((cell) => (Math.floor(cell / wall.columns) * across + (cell % wall.columns)) * side);
  firstLevel = { pixels: new Uint32Array(data.buffer), across, side };
}

/**
 * Reads the pixels, for which the columns must be loaded, and calls `then`, even if there are none or reading fails.
 */
function makeDots(then) {
  if (!wall.folder) then();
  else withChunks(["rough-0"], () => read().then(then, then));
}

const colours = new Map();

/** A CSS colour as a 32-bit pixel. */
function pixelOf(colour) {
  if (!colours.has(colour)) colours.set(colour, readPixel(colour));
  return colours.get(colour);
}

function readPixel(colour) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0];
}

/** Blends a pixel with the ground; `share` is the weight of the pixel. */
function dimmed(pixel, ground, share) {
  let mixed = 255 << 24;
  for (const shift of [0, 8, 16]) {
    const [above, below] = [(pixel >>> shift) & 255, (ground >>> shift) & 255];
    mixed |= (below + (above - below) * share) << shift;
  }
  return mixed;
}

/** Largest side in pixels with which all pictures can be drawn in one frame. */
const affordable = Math.max(1, Math.floor(Math.sqrt(MAX_PIXELS / count)));

let image = null;

/**
 * Starts a drawing of pictures, each a square of `side` pixels, on a ground of the given colour. Returns `put`, which
 * draws a picture around a centre in pixels of the canvas, and `done`, which copies the drawing to the canvas; null
 * until the pixels are loaded. Pictures that are not `lit` are blended with the ground; `share` is their weight.
 */
function dotsOn(canvas, side, colour, lit, share) {
  if (!firstLevel) return null;
  const { width, height } = canvas;
  if (image?.width !== width || image.height !== height) image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const ground = pixelOf(colour);
  out.fill(ground);
  const { pixels, across, side: sourceSide } = firstLevel;
  const size = Math.max(1, Math.ceil(side));
  const sourceOffsets = Int32Array.from({ length: size }, (_, d) => Math.floor(((d + 0.5) * sourceSide) / size));
  const put = (i, px, py) => {
    const [left, top] = [Math.round(px - size / 2), Math.round(py - size / 2)];
    const [right, bottom] = [Math.min(size, width - left), Math.min(size, height - top)];
    for (let dy = Math.max(0, -top); dy < bottom; dy += 1) {
      const row = starts[i] + sourceOffsets[dy] * across;
      const to = (top + dy) * width + left;
      for (let dx = Math.max(0, -left); dx < right; dx += 1) {
        const pixel = pixels[row + sourceOffsets[dx]];
        out[to + dx] = lit && !lit[i] ? dimmed(pixel, ground, share) : pixel;
      }
    }
  };
  return { put, done: () => canvas.getContext("2d").putImageData(image, 0, 0) };
}

page.dots = { makeDots, dotsOn, affordable };
