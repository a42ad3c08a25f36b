// The columns of numbers, one number per picture; metadata that are not numbers are in rows (rows.js). The columns of a
// large grid are loaded after it is drawn.

const { wall, count, chunk, withChunks, bytesOf } = page.chunks;

const element = (id) => document.getElementById(id);
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

// A missing group, previous cell or seam is -1; a missing time or legend value is NaN. Columns that are not listed,
// such as `group0`, are Int32.
const TYPES = {
  cells: Uint32Array,
  x: Uint16Array,
  y: Uint16Array,
  names: BigUint64Array,
  time: Float64Array,
  kind: Uint8Array,
  fresh: Uint8Array,
  folded: Uint16Array,
  right: Int16Array,
  below: Int16Array,
  legend: Float64Array,
  before: Int32Array,
};
/** The columns of this page. Those of a large grid are filled chunk by chunk. */
const columns = {};
for (const name of wall.numbers) columns[name] = new (TYPES[name] ?? Int32Array)(count);

// The picture in each cell, or -1.
const pictureInCell = new Int32Array(wall.columns * wall.rows).fill(-1);

const chunkNames = Array.from({ length: Math.ceil(count / wall.perColumns) }, (_, k) => `columns-${k}`);

function fill(k) {
  const from = k * wall.perColumns;
  for (const [name, text] of Object.entries(chunk(chunkNames[k]) ?? {})) {
    const bytes = bytesOf(text);
    new Uint8Array(columns[name].buffer).set(bytes, from * columns[name].BYTES_PER_ELEMENT);
  }
  for (let i = from; i < Math.min(count, from + wall.perColumns); i += 1) pictureInCell[columns.cells[i]] = i;
}

let filled = 0;
/** Calls `then` once all columns are filled; synchronously in a small page. */
function withColumns(then) {
  if (filled === chunkNames.length) then();
  else {
    withChunks([chunkNames[filled]], () => {
      fill(filled);
      filled += 1;
      withColumns(then);
    });
  }
}
const columnsLoaded = () => filled === chunkNames.length;
if (!wall.folder) withColumns(() => {});

const columnOf = (i) => columns.cells[i] % wall.columns;
const rowOf = (i) => Math.floor(columns.cells[i] / wall.columns);
/** Capture date of a picture in seconds since 1970; NaN if it is not known. */
const timeOf = (i) => (columns.time ? columns.time[i] : Number.NaN);
const kindOf = (i) => wall.kinds[columns.kind ? columns.kind[i] : 0];

/** The name of a picture's files: sixteen hexadecimal digits, or its number if it has no name. */
function fileName(i) {
  const name = columns.names?.[i] ?? 0n;
  return name ? name.toString(16).padStart(16, "0") : String(i);
}

/** The picture with this name, or -1. */
function numberOf(name) {
  if (/^[0-9a-f]{16}$/.test(name)) return columns.names?.indexOf(BigInt(`0x${name}`)) ?? -1;
  const i = /^\d{1,9}$/.test(name) ? Number(name) : -1;
  return i < count && i >= 0 && fileName(i) === name ? i : -1;
}

let ready = false;
/** Whether all columns are filled and the view from the address has been applied. */
const isReady = () => ready;
const setReady = () => {
  ready = true;
};

// biome-ignore format: one name per line would be too long
page.data = {
  wall, count, element, reducedMotion, columns, withColumns, columnsLoaded, pictureInCell, columnOf, rowOf, timeOf, kindOf, fileName, numberOf,
  isReady, setReady,
};
