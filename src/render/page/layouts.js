// Where pictures are: for each layout the middle of every picture, in cells, and the layout's size.

const { block, wall, count, dayFormat, monthFormat } = page.data;

/** Room between pictures on the map, against the grid. */
const MAP_ROOM = 1.7;

const layouts = {
  grid() {
    const x = Float32Array.from(wall.cells, (cell) => (cell % wall.columns) + 0.5);
    const y = Float32Array.from(wall.cells, (cell) => Math.floor(cell / wall.columns) + 0.5);
    return { name: "grid", x, y, width: wall.columns, height: wall.rows, labels: [] };
  },

  map() {
    const side = Math.max(1, Math.sqrt(count) * MAP_ROOM - 1);
    const scale = side / 65535;
    const x = Float32Array.from(wall.x, (v) => v * scale + 0.5);
    const y = Float32Array.from(wall.y, (v) => v * scale + 0.5);
    const most = (values) => values.reduce((a, b) => Math.max(a, b), 0) + 0.5;
    return { name: "map", x, y, width: most(x), height: most(y), labels: groupLabels(x, y) };
  },

  // A column of pictures for each day, month or year; those without a date stand at the left.
  time() {
    const { time } = block("facts");
    const bins = timeBins(time);
    const tallest = Math.max(...bins.map((bin) => bin.pictures.length));
    // As wide as makes the whole twice as wide as high.
    const wide = Math.max(1, Math.round(Math.sqrt((2 * tallest) / bins.length)));
    const height = Math.ceil(tallest / wide);
    const gap = wide > 1 ? 0.5 : 0;
    const [x, y] = [new Float32Array(count), new Float32Array(count)];
    const labels = [];
    bins.forEach((bin, b) => {
      const left = b * (wide + gap);
      bin.pictures.forEach((i, n) => {
        x[i] = left + (n % wide) + 0.5;
        y[i] = height - Math.floor(n / wide) - 0.5;
      });
      labels.push({ text: bin.label, x: left + wide / 2, y: height, below: true });
    });
    return { name: "time", x, y, width: bins.length * (wide + gap) - gap, height, labels };
  },
};

/** More empty days, months or years than this in a row are one gap: a camera's clock may be off by decades. */
const LONGEST_GAP = 60;
/** What a gap adds to the time that pictures are taken to span, at most: three years, in seconds. */
const COUNTED_GAP = 3 * 365 * 86400;

/** Days, months or years from the first picture to the last, the empty ones too. */
function timeBins(time) {
  const dated = [...time.keys()].filter((i) => time[i] !== null).sort((a, b) => time[a] - time[b]);
  const undated = [...time.keys()].filter((i) => time[i] === null);
  const bins = undated.length > 0 ? [{ label: "no date", pictures: undated }] : [];
  if (dated.length === 0) return bins;
  const gaps = dated.slice(1).map((i, n) => Math.min(time[i] - time[dated[n]], COUNTED_GAP));
  const days = gaps.reduce((sum, gap) => sum + gap, 0) / 86400;
  const numbered = {
    day: [(date) => Math.floor(date / 86400000), (n) => dayFormat.format(n * 86400000)],
    month: [
      (date) => 12 * date.getUTCFullYear() + date.getUTCMonth(),
      (n) => monthFormat.format(Date.UTC(Math.floor(n / 12), n % 12, 2)),
    ],
    year: [(date) => date.getUTCFullYear(), (n) => String(n)],
  };
  const [number, label] = numbered[days < 62 ? "day" : days < 366 * 8 ? "month" : "year"];
  let last = null;
  for (const i of dated) {
    const now = number(new Date(1000 * time[i]));
    if (last !== null && now - last > LONGEST_GAP + 1) bins.push({ label: "…", pictures: [] });
    else for (let n = last ?? now; n < now - 1; n += 1) bins.push({ label: label(n + 1), pictures: [] });
    if (now !== last) bins.push({ label: label(now), pictures: [] });
    bins[bins.length - 1].pictures.push(i);
    last = now;
  }
  return bins;
}

/** Names of the groups that colours tell apart, each in the middle of its points. */
function groupLabels(x, y) {
  const legend = document.getElementById("data-facts") && block("facts").legend;
  if (!legend || legend.numeric) return [];
  const middle = (values, members) => {
    const sorted = members.map((i) => values[i]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  };
  return legend.entries.flatMap(([text], group) => {
    const members = [...legend.of.keys()].filter((i) => legend.of[i] === group);
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
  const dated = block("facts").time.some((time) => time !== null);
  return [wall.hasCells && "grid", wall.hasPlaces && "map", dated && "time"].filter(Boolean);
}

page.layouts = { layoutOf, possibleLayouts, forget: () => made.clear() };
