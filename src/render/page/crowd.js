// The map without heaps. Tiles grow more slowly than the map is zoomed, so what is crowded from afar has room close by. Until
// it has, one picture stands for those it would cover and says how many they are. What is seen once stays in sight
// all the way in.

const { count } = page.data;

/** The share of the window that tiles would take if all were seen on the whole map; and the least and most pixels of one. */
const SHARE = 0.3;
const [SMALLEST, LARGEST] = [24, 120];
/** Distances between tiles, in cells, from one step to the next. */
const STEP = 2 ** -0.25;
/** Closer than this tiles never come: the nearest view has larger ones. */
const NEAREST = 0.4;

/** Pixels of a tile in a window of this size, where `scale` is `times` that of the whole map. */
function tilePixels(width, height, times) {
  const whole = Math.min(LARGEST, Math.max(SMALLEST, Math.sqrt((width * height * SHARE) / count)));
  return whole * Math.sqrt(Math.max(times, 0.25));
}

/** An order that has nothing to do with where pictures are: the bits of a number mixed (Steele's splitmix finaliser). */
function mixed(i) {
  let x = Math.imul(i ^ (i >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The pictures in a fixed order, those of `first` before others, and pictures that are `lit` before all. */
function ranked(first, lit) {
  // A rank and a number in one, so that they are sorted as numbers.
  const [RANKS, NUMBERS] = [2 ** 24, 2 ** 26];
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i += 1) keys[i] = RANKS / 16 + (mixed(i) >>> 8);
  first.forEach((i, n) => {
    keys[i] = Math.min(keys[i], n);
  });
  for (let i = 0; i < count; i += 1) keys[i] = (keys[i] + (lit && !lit[i] ? 2 * RANKS : 0)) * NUMBERS + i;
  keys.sort();
  const order = new Uint32Array(count);
  for (let n = 0; n < count; n += 1) order[n] = keys[n] % NUMBERS;
  return order;
}

/** Which picture is in each square of a layout of this size, where at most one is; and those around a place. */
function squaresOf({ x, y }, { width, height }, distance) {
  const across = Math.ceil(width / distance) + 3;
  const held = new Int32Array(across * (Math.ceil(height / distance) + 3)).fill(-1);
  const square = (i) => (Math.floor(y[i] / distance) + 1) * across + Math.floor(x[i] / distance) + 1;
  return {
    put(i) {
      held[square(i)] = i;
    },
    /** The picture nearest to `i` that is less than the distance away, or -1. */
    near(i) {
      let found = -1;
      let least = distance;
      const at = square(i);
      for (let row = at - across; row <= at + across; row += across) {
        for (let other = row - 1; other <= row + 1; other += 1) {
          const j = held[other];
          if (j < 0) continue;
          const apart = Math.max(Math.abs(x[i] - x[j]), Math.abs(y[i] - y[j]));
          if (apart < least) {
            found = j;
            least = apart;
          }
        }
      }
      return found;
    },
  };
}

/** The map from so far away that there is room for none. Pictures have numbers by their ranks here: what is looked at together lies together. */
function afar(of, first, lit) {
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
    /** Those that are seen, in the order in which they come into sight, and the place of each picture in it. */
    seen: new Uint32Array(count),
    order: new Uint32Array(count),
    at: new Uint32Array(count).fill(count),
    waiting: Uint32Array.from(ranks.keys()),
    /** Who stands for those that wait. */
    standing: new Int32Array(count).fill(-1),
    /** For each distance between tiles how many are seen, and for how many others each of them stands. */
    steps: [],
  };
}

/** One step nearer: those that now have room come into sight. */
function comeNearer(thinned) {
  const { of, ranks, places, seen, order, at, waiting, standing, steps } = thinned;
  const { x, y } = places;
  const last = steps[steps.length - 1];
  const distance = last ? last.distance * STEP : Math.max(of.width, of.height);
  let shown = last?.shown ?? 0;
  const squares = squaresOf(places, of, distance);
  for (let n = 0; n < shown; n += 1) squares.put(seen[n]);
  let left = 0;
  for (const i of waiting) {
    const by = standing[i];
    // Who stood for it from farther away may do so still.
    const still = by >= 0 && Math.abs(x[i] - x[by]) < distance && Math.abs(y[i] - y[by]) < distance;
    if (!still) standing[i] = squares.near(i);
    if (standing[i] >= 0) {
      waiting[left] = i;
      left += 1;
    } else {
      seen[shown] = i;
      order[shown] = ranks[i];
      at[ranks[i]] = shown;
      shown += 1;
      squares.put(i);
    }
  }
  thinned.waiting = waiting.subarray(0, left);
  const behind = new Uint32Array(shown);
  for (const i of thinned.waiting) behind[at[ranks[standing[i]]]] += 1;
  steps.push({ distance, shown, behind });
}

let thinned = null;

/**
 * What is seen where tiles are `side` cells wide: the first `shown` of `order`, `at` says the place of each in it, and `behind` for
 * how many others each of them stands.
 */
function crowdOf(of, side, first, lit) {
  if (thinned?.of !== of || thinned.lit !== lit) thinned = afar(of, first(), lit);
  const { steps } = thinned;
  const least = Math.max(side, NEAREST);
  while (steps.length === 0 || (steps[steps.length - 1].distance * STEP >= least && thinned.waiting.length > 0))
    comeNearer(thinned);
  const { shown, behind } = steps.findLast(({ distance }) => distance >= side) ?? steps[0];
  const { order, at } = thinned;
  return { order, at, shown, behind };
}

page.crowd = { tilePixels, crowdOf };
