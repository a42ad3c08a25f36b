// The pictures of a large wall as some pixels each, put one by one: while they glide, and in small. It takes the pixels of the first
// level's sheets, which are among the data for this: those of a file would not be given away.

const { wall, count, tile, withTiles, bytesOf } = page.tiles;
const { columns } = page.data;

/** Pixels that are put at most, so that a frame is in time. */
const MOST_PIXELS = 2e6;

/** The sheets side by side, and how many pixels they are across; null until they are there. */
let rough = null;
/** Where each picture begins in them. */
let starts = null;

async function read() {
  const sheets = (tile("rough-0") ?? []).map((text) => createImageBitmap(new Blob([bytesOf(text)])));
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
  rough = { pixels: new Uint32Array(data.buffer), across, side };
}

/** Reads the pixels, once the columns are there, and calls `then`, also where there are none. */
function makeDots(then) {
  if (!wall.folder) then();
  else withTiles(["rough-0"], () => read().then(then, then));
}

const colours = new Map();

/** A colour of the page as a pixel. */
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

/** A pixel with only so much of its colour left before a ground. */
function dimmed(pixel, ground, share) {
  let mixed = 255 << 24;
  for (const shift of [0, 8, 16]) {
    const [own, other] = [(pixel >>> shift) & 255, (ground >>> shift) & 255];
    mixed |= (other + (own - other) * share) << shift;
  }
  return mixed;
}

/** Pixels of a side that all pictures can have at a time. */
const affordable = Math.max(1, Math.floor(Math.sqrt(MOST_PIXELS / count)));

let image = null;

/**
 * Puts pictures on a canvas, `side` pixels each: `put` takes a picture and its middle, `done` shows them. Those that are not `lit` have a
 * `share` of their colour. Null as long as there are no pixels.
 */
function dotsOn(canvas, side, colour, lit, share) {
  if (!rough) return null;
  const { width, height } = canvas;
  if (image?.width !== width || image.height !== height) image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const ground = pixelOf(colour);
  out.fill(ground);
  const { pixels, across, side: own } = rough;
  const size = Math.max(1, Math.ceil(side));
  const from = Int32Array.from({ length: size }, (_, d) => Math.floor(((d + 0.5) * own) / size));
  const put = (i, px, py) => {
    const [left, top] = [Math.round(px - size / 2), Math.round(py - size / 2)];
    const [right, bottom] = [Math.min(size, width - left), Math.min(size, height - top)];
    for (let dy = Math.max(0, -top); dy < bottom; dy += 1) {
      const row = starts[i] + from[dy] * across;
      const to = (top + dy) * width + left;
      for (let dx = Math.max(0, -left); dx < right; dx += 1) {
        const pixel = pixels[row + from[dx]];
        out[to + dx] = lit && !lit[i] ? dimmed(pixel, ground, share) : pixel;
      }
    }
  };
  return { put, done: () => canvas.getContext("2d").putImageData(image, 0, 0) };
}

page.dots = { makeDots, dotsOn, affordable };
