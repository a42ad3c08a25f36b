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

/** Which picture is in each square of a layout, where at most one is; and those around a place. */
function squaresOf(of, distance) {
  const across = Math.ceil(of.width / distance) + 3;
  const held = new Int32Array(across * (Math.ceil(of.height / distance) + 3)).fill(-1);
  const square = (i) => (Math.floor(of.y[i] / distance) + 1) * across + Math.floor(of.x[i] / distance) + 1;
  return {
    put(i) {
      held[square(i)] = i;
    },
    /** The picture nearest to `i` that is less than the distance away, or -1. */
    near(i) {
      let [found, least] = [-1, distance];
      const at = square(i);
      for (let row = at - across; row <= at + across; row += across) {
        for (let other = row - 1; other <= row + 1; other += 1) {
          const j = held[other];
          if (j < 0) continue;
          const apart = Math.max(Math.abs(of.x[i] - of.x[j]), Math.abs(of.y[i] - of.y[j]));
          if (apart < least) [found, least] = [j, apart];
        }
      }
      return found;
    },
  };
}

/**
 * The pictures of a layout in the order in which they come into sight, and how many of them are seen at each distance
 * between tiles. Those of `first` come before others, and pictures that are `lit` before all.
 */
function thin(of, first, lit) {
  const rank = Float64Array.from({ length: count }, (_, i) => 1 + mixed(i));
  first.forEach((i, n) => {
    rank[i] = Math.min(rank[i], n / first.length);
  });
  if (lit) for (let i = 0; i < count; i += 1) if (!lit[i]) rank[i] += 2 ** 33;
  let waiting = [...rank.keys()].sort((a, b) => rank[a] - rank[b]);
  const [seen, steps] = [[], []];
  for (let distance = Math.max(of.width, of.height); distance > NEAREST && waiting.length > 0; distance *= STEP) {
    const squares = squaresOf(of, distance);
    seen.forEach(squares.put);
    waiting = waiting.filter((i) => {
      if (squares.near(i) >= 0) return true;
      seen.push(i);
      squares.put(i);
      return false;
    });
    steps.push({ distance, shown: seen.length, behind: null });
  }
  return { of, lit, order: [...seen, ...waiting], steps };
}

let thinned = null;

/** What is seen where tiles are `side` cells wide: the first `shown` of `order`, and for how many others each stands. */
function crowdOf(of, side, first, lit) {
  if (thinned?.of !== of || thinned.lit !== lit) thinned = thin(of, first(), lit);
  const { order, steps } = thinned;
  const step = steps.findLast(({ distance }) => distance >= side) ?? steps[0];
  if (!step.behind) {
    step.behind = new Uint32Array(count);
    const squares = squaresOf(of, step.distance);
    for (let n = 0; n < step.shown; n += 1) squares.put(order[n]);
    for (let n = step.shown; n < order.length; n += 1) step.behind[squares.near(order[n])] += 1;
  }
  return { order, shown: step.shown, behind: step.behind };
}

page.crowd = { tilePixels, crowdOf };
