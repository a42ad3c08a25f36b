// The numbers of all pictures, a column each: of what is no number there are rows (rows.js). Those of a large wall come
// after it is drawn.

const { wall, count, tile, withTiles, bytesOf } = page.tiles;

const element = (id) => document.getElementById(id);
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

// A group's number, a cell of the wall before and a seam's shade are -1 where there is none; a time and a colour are NaN.
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
/** The columns that there are; of a large wall they are filled one tile after the other. */
const columns = {};
for (const name of wall.numbers) columns[name] = new (TYPES[name] ?? Int32Array)(count);

// The picture in each cell, or -1.
const inCell = new Int32Array(wall.columns * wall.rows).fill(-1);

const tileNames = Array.from({ length: Math.ceil(count / wall.perColumns) }, (_, k) => `columns-${k}`);

function fill(k) {
  const from = k * wall.perColumns;
  for (const [name, text] of Object.entries(tile(tileNames[k]) ?? {})) {
    const bytes = bytesOf(text);
    new Uint8Array(columns[name].buffer).set(bytes, from * columns[name].BYTES_PER_ELEMENT);
  }
  for (let i = from; i < Math.min(count, from + wall.perColumns); i += 1) inCell[columns.cells[i]] = i;
}

let filled = 0;
/** Calls `then` once all columns are there: at once in a small page. */
function withColumns(then) {
  if (filled === tileNames.length) then();
  else {
    withTiles([tileNames[filled]], () => {
      fill(filled);
      filled += 1;
      withColumns(then);
    });
  }
}
const isThere = () => filled === tileNames.length;
if (!wall.folder) withColumns(() => {});

const columnOf = (i) => columns.cells[i] % wall.columns;
const rowOf = (i) => Math.floor(columns.cells[i] / wall.columns);
/** When a picture was taken, in seconds; NaN if that is not known. */
const timeOf = (i) => (columns.time ? columns.time[i] : Number.NaN);
const kindOf = (i) => wall.kinds[columns.kind ? columns.kind[i] : 0];

/** The name of a picture's files: sixteen digits; or its number, where it has none. */
function fileName(i) {
  const name = columns.names?.[i] ?? 0n;
  return name ? name.toString(16).padStart(16, "0") : String(i);
}

/** The picture of that name, or -1. */
function numberOf(name) {
  if (/^[0-9a-f]{16}$/.test(name)) return columns.names?.indexOf(BigInt(`0x${name}`)) ?? -1;
  const i = /^\d{1,9}$/.test(name) ? Number(name) : -1;
  return i < count && i >= 0 && fileName(i) === name ? i : -1;
}

let settled = false;
/** Whether all numbers are there and the view is the one of the address. */
const isSettled = () => settled;
const settle = () => {
  settled = true;
};

// biome-ignore format: a name a line is too long a list
page.data = {
  wall, count, element, stillness, columns, withColumns, isThere, inCell, columnOf, rowOf, timeOf, kindOf, fileName, numberOf,
  isSettled, settle,
};
