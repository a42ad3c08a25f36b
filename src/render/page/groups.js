// The groups of the wall: their names over the pictures, at the level that the zoom has room for, and as a
// list to go to.

const { wall, element, columns, isSettled } = page.data;
const { view, layout, crowding, glideTo, limited, toWindow, windowWidth, windowHeight } = page.view;
const { paint, colours } = page.paint;
const { shows } = page.picked;

/** Pixels of room around a name. */
const ROOM = 8;
/** A name is shown while its group is at least so many times as wide as its text. */
const WIDE = 0.9;

const places = new Map();
/** The names that are seen. */
const named = [];

/** The groups that have a name, the largest first, each with where it is in a layout: its middle and its extent. */
function placesIn(of) {
  if (!places.has(of.name)) {
    const all = wall.groups.flatMap((names, level) => {
      const members = names.map(() => []);
      columns[`group${level}`].forEach((group, i) => {
        members[group]?.push(i);
      });
      return names.map(([text], n) => ({ text, level, group: n, size: members[n].length, ...extent(of, members[n]) }));
    });
    const wider = ({ level, middle }) =>
      wall.groups.slice(0, level).map((names, above) => names[columns[`group${above}`][middle]]?.[0]);
    places.set(
      of.name,
      // What a wider group is called is not said again within it.
      all
        .filter((place) => place.size > 0 && !wider(place).includes(place.text))
        .sort((a, b) => a.level - b.level || b.size - a.size),
    );
  }
  return places.get(of.name);
}

/** The middle of some pictures, which is one of them, and how far most of them reach around it. */
function extent({ x, y }, members) {
  const sorted = (axis) => Float32Array.from(members, (i) => axis[i]).sort();
  const [xs, ys] = [sorted(x), sorted(y)];
  const at = (values, share) => values[Math.round((values.length - 1) * share)];
  const [cx, cy] = [at(xs, 0.5), at(ys, 0.5)];
  const nearest = members.reduce((best, i) =>
    Math.hypot(x[i] - cx, y[i] - cy) < Math.hypot(x[best] - cx, y[best] - cy) ? i : best,
  );
  const span = (values) => at(values, 0.9) - at(values, 0.1) + 1;
  return { middle: nearest, x: x[nearest], y: y[nearest], width: span(xs), height: span(ys) };
}

/** Names of narrower groups take the place of those of the wider one as soon as there is room for them. */
function drawGroups() {
  if (!shows.groups || layout.share < 1 || layout.to.name === "time") return;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  paint.lineJoin = "round";
  const top = document.querySelector("header").getBoundingClientRect().bottom;
  const taken = [];
  const shown = new Map();
  for (const place of placesIn(layout.to)) {
    const { text, level, group, width, height } = place;
    const wide = Math.min(width, 2.5 * height) * view.scale;
    let [px, py] = toWindow(place.x, place.y);
    if (px < 0 || px > windowWidth() || py < 0 || py > windowHeight()) continue;
    const pixels = Math.max(13, Math.min(30, wide / 9));
    paint.font = `600 ${pixels}px system-ui, sans-serif`;
    const half = [paint.measureText(text).width / 2 + ROOM, pixels / 2 + ROOM];
    if (2 * half[0] * WIDE > wide && level > 0) continue;
    // A name at the edge of the window, or under the bars, moves to where it can be read.
    px = Math.min(windowWidth() - half[0], Math.max(half[0], px));
    py = Math.min(windowHeight() - half[1], Math.max(top + half[1], py));
    const meets = ([x, y, w, h]) => Math.abs(x - px) < w + half[0] && Math.abs(y - py) < h + half[1];
    if (taken.some(meets)) continue;
    taken.push([px, py, ...half]);
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

/** The names of the groups that a picture is in, the widest first, each once. */
function groupsOf(i) {
  const names = wall.groups.map((all, level) => all[columns[`group${level}`][i]]?.[0]);
  return [...new Set(names.filter(Boolean))];
}

/** A button for each named group of the coarsest level that has several names. */
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
  glideTo({ x: place.x, y: place.y, scale: limited(scale) });
}

// Before all data are there, nothing is known of groups.
crowding.first = () => (isSettled() ? placesIn(layout.to).map(({ middle }) => middle) : []);

page.groups = { groupsOf, drawGroups, makeGroups, named };
