// Sheets of tiles. On each level the grid is cut into square sheets, and each level has tiles of twice the side of the
// one before it. Level 0 is one sheet, or a few for a very large grid; these stay in memory. Of the other sheets, the
// most recently used ones stay.

const { wall, columns, columnOf, rowOf, fileName } = page.data;
const { STOP } = page.spatial;
const { frame, redraw, eachVisible } = page.view;

/** How many sheets, and how many larger pictures, stay in memory. */
const MAX_SHEETS = 60;
const MAX_LARGE = 40;
/** Number of sheets that are loaded at the same time. */
const MAX_LOADING = 8;

const sheets = new Map();
/** How many sheets and larger pictures are loading, and how many have arrived or failed. */
const loads = { running: 0, arrived: 0 };
/** What the current frame needs and does not have. */
let wanted = [];
/** Functions that draw again whenever a picture has arrived. */
const waiting = new Set();

// Sheets and larger pictures share one cache. Keys of sheets start at 1e8 times the level, keys of larger pictures are
// negative.
const bases = wall.levels.map((_, level) => level * 1e8);
/** Tiles per side of a sheet, and sheets per row, by level. */
const perSheet = wall.levels.map((level) => wall.sheet / level.side);
const across = perSheet.map((per) => Math.ceil(wall.columns / per));

/** The coarsest level whose tiles are sharp at this many device pixels. */
function levelFor(pixels) {
  const level = wall.levels.findIndex((candidate) => candidate.side >= pixels * 0.9);
  return level < 0 ? wall.levels.length - 1 : level;
}

/** Like `levelFor`, but a coarser level if the visible pictures would need too many sheets. */
function affordableLevel(pixels) {
  let level = levelFor(pixels);
  for (; level > 0 && across[level] * Math.ceil(wall.rows / perSheet[level]) > MAX_SHEETS; level -= 1) {
    const needed = new Set();
    eachVisible((i) => {
      needed.add(sheetKey(level, Math.floor(columnOf(i) / perSheet[level]), Math.floor(rowOf(i) / perSheet[level])));
      return needed.size > MAX_SHEETS * 0.8 ? STOP : null;
    });
    if (needed.size <= MAX_SHEETS * 0.8) break;
  }
  return level;
}

function sheetKey(level, column, row) {
  return bases[level] + row * across[level] + column;
}

/** The sheet, if it is loaded; does not request it. */
const loadedSheet = (level, column, row) => sheets.get(sheetKey(level, column, row))?.bitmap;

/** The sheet, or null while it is not loaded; requests it then. */
function sheet(level, column, row) {
  const key = sheetKey(level, column, row);
  return picture(key, `${wall.levels[level].path}/${column}_${row}.jpg`);
}

/** A larger picture, or null while it is not loaded; requests it then. */
function largePicture(i) {
  return picture(-1 - i, `${wall.large}/${fileName(i)}.jpg`);
}

function picture(key, path) {
  const known = sheets.get(key);
  if (known) {
    known.used = frame.number;
    return known.bitmap;
  }
  wanted.push([key, path]);
  return null;
}

/** Starts to load what the last frame needed and did not have. */
function loadWanted() {
  for (const [key, path] of wanted) {
    if (loads.running >= MAX_LOADING) break;
    if (!sheets.has(key)) load(key, path);
  }
  wanted = [];
}

async function load(key, path) {
  const entry = { bitmap: null, used: frame.number };
  sheets.set(key, entry);
  loads.running += 1;
  try {
    const image = new Image();
    image.src = path;
    await image.decode();
    // A bitmap is decoded only once; an image element may be decoded again when it is drawn.
    entry.bitmap = await createImageBitmap(image);
    dropOldest();
  } catch {
    // A missing sheet is not requested again; the coarser level below it is shown.
  }
  loads.running -= 1;
  loads.arrived += 1;
  for (const again of waiting) if (again()) waiting.delete(again);
  redraw();
}

/** Calls `again` whenever a picture has arrived, until it returns true. */
const whenLoaded = (again) => waiting.add(again);
const stopWaiting = () => waiting.clear();

/** Drops the least recently used sheets and larger pictures. */
function dropOldest() {
  for (const [isKind, limit] of [
    [(key) => key >= 1e8, MAX_SHEETS],
    [(key) => key < 0, MAX_LARGE],
  ]) {
    const loaded = [...sheets].filter(([key, entry]) => isKind(key) && entry.bitmap);
    loaded.sort(([, a], [, b]) => a.used - b.used);
    for (const [key, entry] of loaded.slice(0, Math.max(0, loaded.length - limit))) {
      entry.bitmap.close();
      sheets.delete(key);
    }
  }
}

// The result of `findTile`: the bitmap (or null) that has the tile, and its position and side in it. One shared object,
// because a frame looks up thousands of tiles.
const foundTile = { bitmap: null, x: 0, y: 0, side: 0 };

/** Finds the tile of a picture in the sharpest loaded sheet, up to this level. */
function findTile(i, level) {
  const cell = columns.cells[i];
  const column = cell % wall.columns;
  const row = (cell - column) / wall.columns;
  for (let candidate = level; candidate >= 0; candidate -= 1) {
    const tilesPerSide = perSheet[candidate];
    const [sheetColumn, sheetRow] = [Math.floor(column / tilesPerSide), Math.floor(row / tilesPerSide)];
    // Levels between the wanted and the coarsest one are used if they are loaded, but not requested.
    const bitmap =
      candidate === level || candidate === 0
        ? sheet(candidate, sheetColumn, sheetRow)
        : loadedSheet(candidate, sheetColumn, sheetRow);
    if (bitmap) {
      const side = wall.levels[candidate].side;
      foundTile.bitmap = bitmap;
      foundTile.x = (column % tilesPerSide) * side;
      foundTile.y = (row % tilesPerSide) * side;
      foundTile.side = side;
      return;
    }
  }
  foundTile.bitmap = null;
}

/** Draws the found tile, if there is one, as a square with this corner and side. */
function drawFoundTile(context, left, top, size) {
  const { bitmap, x, y, side } = foundTile;
  if (bitmap) context.drawImage(bitmap, x, y, side, side, left, top, size, size);
}

// biome-ignore format: one name per line would be too long
page.sheets = {
  levelFor, affordableLevel, perSheet, sheet, loadedSheet, largePicture, loads, loadWanted, whenLoaded, stopWaiting,
  foundTile, findTile, drawFoundTile,
};
