// The layouts: for each, the centre of every picture and the size of the layout, both in cells.

const { wall, count, columns } = page.data;
const { monthFormat } = page.rows;

/** Side of the map, relative to that of a square grid. */
const MAP_ROOM = 1.7;
/** Largest ratio between the stretch factors of the two axes. */
const MAP_STRETCH = 2;

const layouts = {
  grid() {
    const [x, y] = [new Float32Array(count), new Float32Array(count)];
    for (let i = 0; i < count; i += 1) {
      x[i] = (columns.cells[i] % wall.columns) + 0.5;
      y[i] = Math.floor(columns.cells[i] / wall.columns) + 0.5;
    }
    return { name: "grid", x, y, width: wall.columns, height: wall.rows, labels: [] };
  },

  // The grid before the last growth, centred in the current one. New pictures are at their current cells.
  before() {
    const [across, down] = wall.before;
    const { x, y, width, height, labels } = layoutOf("grid");
    const [dx, dy] = [(width - across) / 2 + 0.5, (height - down) / 2 + 0.5];
    const previous = (of, previousPlace) =>
      of.map((current, i) => (columns.before[i] < 0 ? current : previousPlace(columns.before[i])));
    return {
      name: "before",
      x: previous(x, (cell) => (cell % across) + dx),
      y: previous(y, (cell) => Math.floor(cell / across) + dy),
      width,
      height,
      labels,
    };
  },

  map() {
    const side = Math.max(1, Math.sqrt(count) * MAP_ROOM - 1);
    const scale = side / 65535;
    // `Math.max(...values)` fails if there are very many values.
    const maximum = (values) => {
      let largest = 0;
      for (let i = 0; i < count; i += 1) if (values[i] > largest) largest = values[i];
      return largest;
    };
    // The axes of t-SNE have no meaning, so the map may be stretched to the proportions of the window.
    const shape = innerWidth / Math.max(1, innerHeight) / (maximum(columns.x) / Math.max(1, maximum(columns.y)) || 1);
    const stretched = Math.sqrt(Math.min(MAP_STRETCH, Math.max(1 / MAP_STRETCH, shape)));
    const stretch = [stretched, 1 / stretched];
    const [x, y] = [new Float32Array(count), new Float32Array(count)];
    for (let i = 0; i < count; i += 1) {
      x[i] = columns.x[i] * scale * stretch[0] + 0.5;
      y[i] = columns.y[i] * scale * stretch[1] + 0.5;
    }
    const [width, height] = [maximum(x) + 0.5, maximum(y) + 0.5];
    return { name: "map", x, y, width, height, stretch, labels: groupLabels(x, y) };
  },

  // A column of pictures for each day, month, year or decade. Pictures without a date are in the leftmost column.
  time() {
    const bins = timeBins();
    const tallest = bins.reduce((highest, bin) => Math.max(highest, bin.pictures.length), 0);
    // A column may be several pictures wide. Choose the width that brings the layout closest to the window's
    // proportions.
    const size = (across) => {
      const gap = across > 1 ? 0.5 : 0.15;
      return { across, gap, width: bins.length * (across + gap) - gap, height: Math.ceil(tallest / across) };
    };
    const mismatch = ({ width, height }) => Math.abs(Math.log(width / height / (innerWidth / innerHeight)));
    const sizes = Array.from({ length: Math.min(tallest, 60) }, (_, n) => size(n + 1));
    const { across, gap, width, height } = sizes.reduce((best, other) =>
      mismatch(other) < mismatch(best) ? other : best,
    );
    const [x, y] = [new Float32Array(count), new Float32Array(count)];
    const labels = [];
    bins.forEach((bin, index) => {
      const left = index * (across + gap);
      bin.pictures.forEach((i, n) => {
        x[i] = left + (n % across) + 0.5;
        y[i] = height - Math.floor(n / across) - 0.5;
      });
      labels.push({ text: bin.label, x: left + across / 2, y: height, below: true, isBreak: bin.isBreak });
      if (bin.heading)
        labels.push({ text: bin.heading, x: left + across / 2, y: height, below: true, isHeading: true });
    });
    return { name: "time", x, y, width, height, labels };
  },
};

/**
 * More empty days, months or years in a row than this become one gap, because a camera's clock may be off by decades.
 */
const LONGEST_GAP = 60;
/** A gap counts at most this many seconds (three years) towards the time that the pictures span. */
const COUNTED_GAP = 3 * 365 * 86400;

const monthName = new Intl.DateTimeFormat(undefined, { month: "short", timeZone: "UTC" });
const dayName = new Intl.DateTimeFormat(undefined, { day: "numeric", timeZone: "UTC" });
/**
 * The units of the time layout, finest first. `number` is the index of a date's unit, `label` its name, `heading` the
 * name of the larger unit around it. A unit is used for pictures that span fewer than `maxDays` days.
 */
const UNITS = {
  day: {
    number: (date) => Math.floor(date / 86400000),
    label: (n) => dayName.format(n * 86400000),
    heading: (n) => monthFormat.format(n * 86400000),
    maxDays: 62,
  },
  month: {
    number: (date) => 12 * date.getUTCFullYear() + date.getUTCMonth(),
    label: (n) => monthName.format(Date.UTC(2000, ((n % 12) + 12) % 12, 2)),
    heading: (n) => String(Math.floor(n / 12)),
    maxDays: 366 * 8,
  },
  year: { number: (date) => date.getUTCFullYear(), label: (n) => String(n), heading: () => "", maxDays: 366 * 80 },
  decade: {
    number: (date) => Math.floor(date.getUTCFullYear() / 10),
    label: (n) => `${n}0s`,
    heading: () => "",
    maxDays: Number.POSITIVE_INFINITY,
  },
};

/** The columns of the time layout from the first picture to the last, including empty ones. */
function timeBins() {
  const { time } = columns;
  const pictures = [...time.keys()];
  const dated = pictures.filter((i) => !Number.isNaN(time[i])).sort((a, b) => time[a] - time[b]);
  const undated = pictures.filter((i) => Number.isNaN(time[i]));
  const bins = undated.length > 0 ? [{ label: "no date", pictures: undated }] : [];
  if (dated.length === 0) return bins;
  const gaps = dated.slice(1).map((i, n) => Math.min(time[i] - time[dated[n]], COUNTED_GAP));
  const days = gaps.reduce((sum, gap) => sum + gap, 0) / 86400;
  const { number, label, heading } = Object.values(UNITS).find(({ maxDays }) => days < maxDays);
  let [last, lastHeading] = [null, ""];
  const add = (n) => {
    bins.push({ label: label(n), pictures: [], heading: heading(n) === lastHeading ? "" : heading(n) });
    lastHeading = heading(n);
  };
  for (const i of dated) {
    const now = number(new Date(1000 * time[i]));
    if (last !== null && now - last > LONGEST_GAP + 1) bins.push({ label: "⋯", pictures: [], isBreak: true });
    else for (let n = last ?? now; n < now - 1; n += 1) add(n + 1);
    if (now !== last) add(now);
    bins[bins.length - 1].pictures.push(i);
    last = now;
  }
  return bins;
}

/** The texts of the legend as labels, each at the median of its points. */
function groupLabels(x, y) {
  const { legend } = wall;
  if (!legend || legend.numeric) return [];
  const middle = (values, members) => {
    const sorted = Float32Array.from(members, (i) => values[i]).sort();
    return sorted[Math.floor(sorted.length / 2)];
  };
  const all = legend.entries.map(() => []);
  columns.legend.forEach((group, i) => {
    all[group]?.push(i);
  });
  return legend.entries.flatMap(([text], group) => {
    const members = all[group];
    return members.length > 0 ? [{ text, x: middle(x, members), y: middle(y, members) }] : [];
  });
}

const computed = new Map();

/** A layout by its name, computed at the first call. */
function layoutOf(name) {
  if (!computed.has(name)) computed.set(name, layouts[name]());
  return computed.get(name);
}

/** The names of the layouts that this page can show. */
function possibleLayouts() {
  return [wall.hasCells && "grid", wall.hasPlaces && "map", columns.time && "time"].filter(Boolean);
}

page.layouts = { layoutOf, possibleLayouts, forget: () => computed.clear() };
