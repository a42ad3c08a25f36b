// Where pictures are: for each layout the middle of every picture, in cells, and the layout's size.

const { wall, count, columns } = page.data;
const { monthFormat } = page.rows;

/** Room between pictures on the map, against the grid. */
const MAP_ROOM = 1.7;
/** One axis may be so many times as long as the other. */
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

  // The wall before the last growth; what is new waits at its place.
  before() {
    const [across, down] = wall.before;
    const { x, y, width, height, labels } = layoutOf("grid");
    const [dx, dy] = [(width - across) / 2 + 0.5, (height - down) / 2 + 0.5];
    const at = (of, place) => of.map((here, i) => (columns.before[i] < 0 ? here : place(columns.before[i])));
    return {
      name: "before",
      x: at(x, (cell) => (cell % across) + dx),
      y: at(y, (cell) => Math.floor(cell / across) + dy),
      width,
      height,
      labels,
    };
  },

  map() {
    const side = Math.max(1, Math.sqrt(count) * MAP_ROOM - 1);
    const scale = side / 65535;
    const most = (values) => {
      let largest = 0;
      for (let i = 0; i < count; i += 1) if (values[i] > largest) largest = values[i];
      return largest;
    };
    // The axes of t-SNE mean nothing, so they may have the window's proportions.
    const shape = innerWidth / Math.max(1, innerHeight) / (most(columns.x) / Math.max(1, most(columns.y)) || 1);
    const stretched = Math.sqrt(Math.min(MAP_STRETCH, Math.max(1 / MAP_STRETCH, shape)));
    const stretch = [stretched, 1 / stretched];
    const [x, y] = [new Float32Array(count), new Float32Array(count)];
    for (let i = 0; i < count; i += 1) {
      x[i] = columns.x[i] * scale * stretch[0] + 0.5;
      y[i] = columns.y[i] * scale * stretch[1] + 0.5;
    }
    const [width, height] = [most(x) + 0.5, most(y) + 0.5];
    return { name: "map", x, y, width, height, stretch, labels: groupLabels(x, y) };
  },

  // A column of pictures for each day, month, year or decade; those without a date stand at the left.
  time() {
    const bins = timeBins();
    const tallest = bins.reduce((most, bin) => Math.max(most, bin.pictures.length), 0);
    // As many pictures side by side as bring the whole nearest to the window's proportions.
    const size = (wide) => {
      const gap = wide > 1 ? 0.5 : 0.15;
      return { wide, gap, width: bins.length * (wide + gap) - gap, height: Math.ceil(tallest / wide) };
    };
    const off = ({ width, height }) => Math.abs(Math.log(width / height / (innerWidth / innerHeight)));
    const sizes = Array.from({ length: Math.min(tallest, 60) }, (_, n) => size(n + 1));
    const { wide, gap, width, height } = sizes.reduce((best, other) => (off(other) < off(best) ? other : best));
    const [x, y] = [new Float32Array(count), new Float32Array(count)];
    const labels = [];
    bins.forEach((bin, b) => {
      const left = b * (wide + gap);
      bin.pictures.forEach((i, n) => {
        x[i] = left + (n % wide) + 0.5;
        y[i] = height - Math.floor(n / wide) - 0.5;
      });
      labels.push({ text: bin.label, x: left + wide / 2, y: height, below: true, isBreak: bin.isBreak });
      if (bin.heading) labels.push({ text: bin.heading, x: left + wide / 2, y: height, below: true, isHeading: true });
    });
    return { name: "time", x, y, width, height, labels };
  },
};

/** More empty days, months or years than this in a row are one gap: a camera's clock may be off by decades. */
const LONGEST_GAP = 60;
/** What a gap adds to the time that pictures are taken to span, at most: three years, in seconds. */
const COUNTED_GAP = 3 * 365 * 86400;

const monthName = new Intl.DateTimeFormat(undefined, { month: "short", timeZone: "UTC" });
const dayName = new Intl.DateTimeFormat(undefined, { day: "numeric", timeZone: "UTC" });
/** How time is cut: the number of a date's piece, the piece's label, and what several pieces have above them. */
const CUTS = {
  day: {
    number: (date) => Math.floor(date / 86400000),
    label: (n) => dayName.format(n * 86400000),
    heading: (n) => monthFormat.format(n * 86400000),
    most: 62,
  },
  month: {
    number: (date) => 12 * date.getUTCFullYear() + date.getUTCMonth(),
    label: (n) => monthName.format(Date.UTC(2000, ((n % 12) + 12) % 12, 2)),
    heading: (n) => String(Math.floor(n / 12)),
    most: 366 * 8,
  },
  year: { number: (date) => date.getUTCFullYear(), label: (n) => String(n), heading: () => "", most: 366 * 80 },
  decade: {
    number: (date) => Math.floor(date.getUTCFullYear() / 10),
    label: (n) => `${n}0s`,
    heading: () => "",
    most: Number.POSITIVE_INFINITY,
  },
};

/** The pieces of time from the first picture to the last, the empty ones too. */
function timeBins() {
  const { time } = columns;
  const all = [...time.keys()];
  const dated = all.filter((i) => !Number.isNaN(time[i])).sort((a, b) => time[a] - time[b]);
  const undated = all.filter((i) => Number.isNaN(time[i]));
  const bins = undated.length > 0 ? [{ label: "no date", pictures: undated }] : [];
  if (dated.length === 0) return bins;
  const gaps = dated.slice(1).map((i, n) => Math.min(time[i] - time[dated[n]], COUNTED_GAP));
  const days = gaps.reduce((sum, gap) => sum + gap, 0) / 86400;
  const { number, label, heading } = Object.values(CUTS).find(({ most }) => days < most);
  let [last, above] = [null, ""];
  const add = (n) => {
    bins.push({ label: label(n), pictures: [], heading: heading(n) === above ? "" : heading(n) });
    above = heading(n);
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

/** Names of the groups that colours tell apart, each in the middle of its points. */
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

const made = new Map();

/** A layout by its name, made when it is first wanted. */
function layoutOf(name) {
  if (!made.has(name)) made.set(name, layouts[name]());
  return made.get(name);
}

/** The layouts that there is something to show of. */
function possibleLayouts() {
  return [wall.hasCells && "grid", wall.hasPlaces && "map", columns.time && "time"].filter(Boolean);
}

page.layouts = { layoutOf, possibleLayouts, forget: () => made.clear() };
