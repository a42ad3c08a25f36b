// The groups (clusters of similar pictures): their names over the pictures, at the level that the zoom has room for,
// and a list of them to jump to.

const { wall, element, columns, isReady } = page.data;
const { view, layout, thinning, glideTo, clampScale, toWindow, windowWidth, windowHeight } = page.view;
const { paint, colours } = page.paint;
const { overlays } = page.highlight;

/** Pixels of room around a name. */
const MARGIN = 8;
/** A name is shown if its group is at least this many times as wide as the text. */
const MIN_WIDTH_RATIO = 0.9;

const places = new Map();
/** The names that were drawn in the last frame. */
const named = [];

/** The named groups of a layout, by level and then by size, each with its centre and its extent. */
function placesIn(of) {
  if (!places.has(of.name)) {
    const all = wall.groups.flatMap((names, level) => {
      const members = names.map(() => []);
      columns[`group${level}`].forEach((group, i) => {
        members[group]?.push(i);
      });
      return names.map(([text], n) => ({ text, level, group: n, size: members[n].length, ...extent(of, members[n]) }));
    });
    const widerNames = ({ level, middle }) =>
      wall.groups.slice(0, level).map((names, above) => names[columns[`group${above}`][middle]]?.[0]);
    places.set(
      of.name,
      // The name of a wider group is not repeated within it.
      all
        .filter((place) => place.size > 0 && !widerNames(place).includes(place.text))
        .sort((a, b) => a.level - b.level || b.size - a.size),
    );
  }
  return places.get(of.name);
}

/** The picture nearest to the medians of some pictures, and the extent of most of them (10 % to 90 % quantile). */
function extent({ x, y }, members) {
  const sorted = (axis) => Float32Array.from(members, (i) => axis[i]).sort();
  const [xs, ys] = [sorted(x), sorted(y)];
  const quantile = (values, share) => values[Math.round((values.length - 1) * share)];
  const [cx, cy] = [quantile(xs, 0.5), quantile(ys, 0.5)];
  const nearest = members.reduce((best, i) =>
    Math.hypot(x[i] - cx, y[i] - cy) < Math.hypot(x[best] - cx, y[best] - cy) ? i : best,
  );
  const span = (values) => quantile(values, 0.9) - quantile(values, 0.1) + 1;
  return { middle: nearest, x: x[nearest], y: y[nearest], width: span(xs), height: span(ys) };
}

/** Draws the names that have room, wider groups first. */
function drawGroups() {
  if (!overlays.groups || layout.progress < 1 || layout.to.name === "time") return;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  paint.lineJoin = "round";
  const top = document.querySelector("header").getBoundingClientRect().bottom;
  const occupied = [];
  const shown = new Map();
  for (const place of placesIn(layout.to)) {
    const { text, level, group, width, height } = place;
    const groupWidth = Math.min(width, 2.5 * height) * view.scale;
    let [px, py] = toWindow(place.x, place.y);
    if (px < 0 || px > windowWidth() || py < 0 || py > windowHeight()) continue;
    const pixels = Math.max(13, Math.min(30, groupWidth / 9));
    paint.font = `600 ${pixels}px system-ui, sans-serif`;
    // Half of the width and height that the name takes, with room around it. Names of the widest level are always
    // drawn.
    const half = [paint.measureText(text).width / 2 + MARGIN, pixels / 2 + MARGIN];
    if (2 * half[0] * MIN_WIDTH_RATIO > groupWidth && level > 0) continue;
    // A name at the edge of the window, or under the bars, is moved to where it is readable.
    px = Math.min(windowWidth() - half[0], Math.max(half[0], px));
    py = Math.min(windowHeight() - half[1], Math.max(top + half[1], py));
    const overlaps = ([x, y, w, h]) => Math.abs(x - px) < w + half[0] && Math.abs(y - py) < h + half[1];
    if (occupied.some(overlaps)) continue;
    occupied.push([px, py, ...half]);
    shown.set(`${level} ${group}`, text);
    paint.lineWidth = pixels / 4;
    paint.strokeStyle = colours.ground;
    paint.globalAlpha = 0.85;
    paint.strokeText(text, px, py);
    paint.globalAlpha = 1;
    paint.fillStyle = colours.ink;
    paint.fillText(text, px, py);
  }
  named.splice(0, named.length, ...shown.values());
}

/** The distinct names of the groups of a picture, the widest group first. */
function groupsOf(i) {
  const names = wall.groups.map((all, level) => all[columns[`group${level}`][i]]?.[0]);
  return [...new Set(names.filter(Boolean))];
}

/** Makes a button for each named group of the coarsest level that has more than one name. */
function makeGroups() {
  const level = wall.groups.findIndex((names) => new Set(names.map(([text]) => text)).size > 1);
  element("groups").hidden = level < 0;
  element("groups-label").hidden = level < 0;
  if (level < 0) return;
  const names = wall.groups[level];
  const sizes = names.map(() => 0);
  for (const group of columns[`group${level}`]) if (group >= 0) sizes[group] += 1;
  const order = [...names.keys()].sort((a, b) => sizes[b] - sizes[a]);
  const buttons = order.map((n) => {
    const button = document.createElement("button");
    button.type = "button";
    const [text, further] = names[n];
    button.textContent = `${text} (${sizes[n].toLocaleString("en")})`;
    button.title = further.join(", ");
    button.addEventListener("click", () => goTo(level, n));
    return button;
  });
  element("groups-list").replaceChildren(...buttons);
}

function goTo(level, group) {
  const place = placesIn(layout.to).find((other) => other.level === level && other.group === group);
  if (!place) return;
  const scale = Math.min(windowWidth() / (place.width + 2), windowHeight() / (place.height + 2));
  glideTo({ x: place.x, y: place.y, scale: clampScale(scale) });
}

// On a crowded map, the centres of groups stay visible. Groups are not known before the columns are loaded.
thinning.first = () => (isReady() ? placesIn(layout.to).map(({ middle }) => middle) : []);

page.groups = { groupsOf, drawGroups, makeGroups, named };
