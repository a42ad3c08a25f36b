// Sheets of tiles. On each level the grid is cut into square sheets; a level has tiles of twice the
// side of the one before it. Level 0 is one sheet, which stays; of the others the last used do.

const { wall, columns, columnOf, rowOf, fileName } = page.data;
const { STOP } = page.squares;
const { frame, redraw, eachVisible } = page.view;

const MOST_SHEETS = 60;
const MOST_LARGE = 40;
/** Sheets that are asked for at a time. */
const MOST_LOADING = 8;

const sheets = new Map();
/** Sheets and larger pictures that are on their way, and how many have arrived. */
const loads = { running: 0, arrived: 0 };
/** What a frame lacked, until it is over. */
let wanted = [];
/** Drawings that lack a picture. */
const waiting = new Set();

const bases = wall.levels.map((_, level) => level * 1e8);
const perSheet = wall.levels.map((level) => wall.sheet / level.side);
const across = perSheet.map((per) => Math.ceil(wall.columns / per));

/** The level whose tiles are sharp at this many device pixels. */
function levelFor(pixels) {
  const level = wall.levels.findIndex((candidate) => candidate.side >= pixels * 0.9);
  return level < 0 ? wall.levels.length - 1 : level;
}

/** The same, or a rougher one, where pictures from too many sheets would be needed at a time. */
function affordableLevel(pixels) {
  let level = levelFor(pixels);
  for (; level > 0 && across[level] * Math.ceil(wall.rows / perSheet[level]) > MOST_SHEETS; level -= 1) {
    const needed = new Set();
    eachVisible((i) => {
      needed.add(sheetKey(level, Math.floor(columnOf(i) / perSheet[level]), Math.floor(rowOf(i) / perSheet[level])));
      return needed.size > MOST_SHEETS * 0.8 ? STOP : null;
    });
    if (needed.size <= MOST_SHEETS * 0.8) break;
  }
  return level;
}

function sheetKey(level, column, row) {
  return bases[level] + row * across[level] + column;
}

/** The sheet if it is there; nothing is asked for. */
const sheetAtHand = (level, column, row) => sheets.get(sheetKey(level, column, row))?.bitmap;

/** The sheet, or null while it is not there; it is then on its way. */
function sheet(level, column, row) {
  const key = sheetKey(level, column, row);
  return picture(key, `${wall.levels[level].path}/${column}_${row}.jpg`);
}

/** A larger picture, by the same rules. */
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

/** Begins to load what the last frame lacked. */
function loadWanted() {
  for (const [key, path] of wanted) {
    if (loads.running >= MOST_LOADING) break;
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
    // Decoded here once, and not again whenever it is drawn.
    entry.bitmap = await createImageBitmap(image);
    forget();
  } catch {
    // A sheet that is missing stays missing: what lies under it is drawn.
  }
  loads.running -= 1;
  loads.arrived += 1;
  for (const again of waiting) if (again()) waiting.delete(again);
  redraw();
}

/** Calls `again` whenever a picture has arrived, until it returns true. */
const whenLoaded = (again) => waiting.add(again);
const stopWaiting = () => waiting.clear();

/** Lets go of what has not been drawn for the longest time. */
function forget() {
  for (const [isKind, most] of [
    [(key) => key >= 1e8, MOST_SHEETS],
    [(key) => key < 0, MOST_LARGE],
  ]) {
    const there = [...sheets].filter(([key, entry]) => isKind(key) && entry.bitmap);
    there.sort(([, a], [, b]) => a.used - b.used);
    for (const [key, entry] of there.slice(0, Math.max(0, there.length - most))) {
      entry.bitmap.close();
      sheets.delete(key);
    }
  }
}

// Where the tile of a picture is, in the best sheet that is there: found.bitmap (or null), found.x,
// found.y and found.side. One object, because thousands are asked for in a frame.
const found = { bitmap: null, x: 0, y: 0, side: 0 };

function findTile(i, level) {
  const cell = columns.cells[i];
  const column = cell % wall.columns;
  const row = (cell - column) / wall.columns;
  for (let l = level; l >= 0; l -= 1) {
    const per = perSheet[l];
    const [c, r] = [Math.floor(column / per), Math.floor(row / per)];
    // Levels between the best and the roughest are used if they are there, but not asked for.
    const bitmap = l === level || l === 0 ? sheet(l, c, r) : sheetAtHand(l, c, r);
    if (bitmap) {
      const side = wall.levels[l].side;
      found.bitmap = bitmap;
      found.x = (column % per) * side;
      found.y = (row % per) * side;
      found.side = side;
      return;
    }
  }
  found.bitmap = null;
}

// biome-ignore format: a name a line is too long a list
page.sheets = {
  levelFor, affordableLevel, perSheet, sheet, sheetAtHand, largePicture, loads, loadWanted, whenLoaded, stopWaiting,
  found, findTile,
};
