// Thinning: how the map avoids piles of pictures. Tiles grow more slowly than the map is zoomed, so pictures that
// overlap from afar have room when one zooms in. Until then one picture represents those that it would cover, and shows
// their number. A picture that is visible stays visible when one zooms in further.

const { count } = page.data;

/** The share of the window that all tiles together would cover when the whole map is in view. */
const SHARE = 0.3;
/** Smallest and largest side of a tile in pixels, when the whole map is in view. */
const [SMALLEST, LARGEST] = [24, 120];
/** The factor between the distances, in cells, of successive steps. */
const STEP = 2 ** -0.25;
/** Smallest distance between tiles, in cells. Tiles in the closest view are larger than this. */
const MIN_DISTANCE = 0.4;

/** Side of a tile in pixels, in a window of this size, when the scale is `times` that of the whole map. */
function tilePixels(width, height, times) {
  const whole = Math.min(LARGEST, Math.max(SMALLEST, Math.sqrt((width * height * SHARE) / count)));
  return whole * Math.sqrt(Math.max(times, 0.25));
}

/** A hash of a picture's number, for an order that is independent of positions: the 32-bit finaliser of MurmurHash3. */
function hashed(i) {
  let x = Math.imul(i ^ (i >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** All pictures in a fixed order: pictures that are `lit` come before the others, and within both those of `first`. */
function ranked(first, lit) {
  // A key combines rank and picture number in one float, because a typed array of numbers is fast to sort. Both
  // together stay below 2^53, so the sum is exact.
  const [RANKS, NUMBERS] = [2 ** 24, 2 ** 26];
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i += 1) keys[i] = RANKS / 16 + (hashed(i) >>> 8);
  first.forEach((i, n) => {
    keys[i] = Math.min(keys[i], n);
  });
  for (let i = 0; i < count; i += 1) keys[i] = (keys[i] + (lit && !lit[i] ? 2 * RANKS : 0)) * NUMBERS + i;
  keys.sort();
  const order = new Uint32Array(count);
  for (let n = 0; n < count; n += 1) order[n] = keys[n] % NUMBERS;
  return order;
}

/**
 * A grid of squares over a layout, with a side of `distance`. Pictures that are put into it are at least `distance`
 * apart, so each square has at most one, and near ones are in the nine squares around a picture.
 */
function occupancyGrid({ x, y }, { width, height }, distance) {
  const across = Math.ceil(width / distance) + 3;
  const pictureIn = new Int32Array(across * (Math.ceil(height / distance) + 3)).fill(-1);
  const square = (i) => (Math.floor(y[i] / distance) + 1) * across + Math.floor(x[i] / distance) + 1;
  return {
    put(i) {
      pictureIn[square(i)] = i;
    },
    /**
     * The picture nearest to `i` among those less than `distance` away, or -1. Distance is the maximum of both axes.
     */
    near(i) {
      let found = -1;
      let shortest = distance;
      const centre = square(i);
      for (let row = centre - across; row <= centre + across; row += across) {
        for (let other = row - 1; other <= row + 1; other += 1) {
          const j = pictureIn[other];
          if (j < 0) continue;
          const separation = Math.max(Math.abs(x[i] - x[j]), Math.abs(y[i] - y[j]));
          if (separation < shortest) {
            found = j;
            shortest = separation;
          }
        }
      }
      return found;
    },
  };
}

/**
 * The state before the first step, in which no picture is visible. Pictures are numbered by rank here, so that those
 * that are processed one after the other are next to each other in memory.
 */
function startThinning(of, first, lit) {
  const ranks = ranked(first, lit);
  const places = { x: new Float32Array(count), y: new Float32Array(count) };
  for (let n = 0; n < count; n += 1) {
    places.x[n] = of.x[ranks[n]];
    places.y[n] = of.y[ranks[n]];
  }
  return {
    of,
    lit,
    ranks,
    places,
    /**
     * Visible pictures in the order of their appearance: by rank (`seen`) and by number (`order`), with the inverse
     * `at`.
     */
    seen: new Uint32Array(count),
    order: new Uint32Array(count),
    at: new Uint32Array(count).fill(count),
    waiting: Uint32Array.from(ranks.keys()),
    /** For each picture that is not visible, the visible one that represents it. */
    representative: new Int32Array(count).fill(-1),
    /** For each distance between tiles: how many pictures are visible, and how many others each of them represents. */
    steps: [],
  };
}

/** Computes the next smaller distance: the waiting pictures that have room at it become visible, in order of rank. */
function thinNextStep(thinned) {
  const { of, ranks, places, seen, order, at, waiting, representative, steps } = thinned;
  const { x, y } = places;
  const last = steps[steps.length - 1];
  const distance = last ? last.distance * STEP : Math.max(of.width, of.height);
  let shown = last?.shown ?? 0;
  const squares = occupancyGrid(places, of, distance);
  for (let n = 0; n < shown; n += 1) squares.put(seen[n]);
  let remaining = 0;
  for (const i of waiting) {
    const previous = representative[i];
    // The representative from the last step remains if it is still near enough.
    const stays = previous >= 0 && Math.abs(x[i] - x[previous]) < distance && Math.abs(y[i] - y[previous]) < distance;
    if (!stays) representative[i] = squares.near(i);
    if (representative[i] >= 0) {
      waiting[remaining] = i;
      remaining += 1;
    } else {
      seen[shown] = i;
      order[shown] = ranks[i];
      at[ranks[i]] = shown;
      shown += 1;
      squares.put(i);
    }
  }
  thinned.waiting = waiting.subarray(0, remaining);
  const behind = new Uint32Array(shown);
  for (const i of thinned.waiting) behind[at[ranks[representative[i]]]] += 1;
  steps.push({ distance, shown, behind });
}

let thinned = null;

/**
 * The visible pictures when tiles are `side` cells wide: the first `shown` of `order`. `at` is the index of each
 * picture in `order`, and `behind` the number of others that each visible picture represents. The steps are computed
 * when they are first needed, and kept until layout or results change.
 */
function thinOut(of, side, first, lit) {
  if (thinned?.of !== of || thinned.lit !== lit) thinned = startThinning(of, first(), lit);
  const { steps } = thinned;
  const smallest = Math.max(side, MIN_DISTANCE);
  while (steps.length === 0 || (steps[steps.length - 1].distance * STEP >= smallest && thinned.waiting.length > 0))
    thinNextStep(thinned);
  const { shown, behind } = steps.findLast(({ distance }) => distance >= side) ?? steps[0];
  const { order, at } = thinned;
  return { order, at, shown, behind };
}

page.thinning = { tilePixels, thinOut };
