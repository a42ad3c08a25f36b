// What is seen: the middle of the window in cells, and the pixels of a cell; and how it moves.

const { wall, count, element, inCell, stillness, isThere } = page.data;
const { layoutOf } = page.layouts;
const { tilePixels, crowdOf } = page.crowd;
const { eachWithin, STOP } = page.squares;

const canvas = element("wall");
const view = { x: 0, y: 0, scale: 1 };
/** Zooming comes to rest here, around a point of the window that stays where it is. */
const goal = { scale: 1, x: 0, y: 0 };
/** Pictures move from one layout to the next: `share` of the way is behind them. */
const layout = { from: null, to: null, share: 1, started: 0 };
const MOVE_MS = 900;
const GROW_MS = 2600;
const CLOSEST = 700;

const frame = { number: 0, asked: false, glide: null };
/** What is done in a frame once everything has moved, in this order; others add to it. */
const steps = [];

/** Asks for a frame; nothing is drawn unless something changed. */
function redraw() {
  if (frame.asked) return;
  frame.asked = true;
  requestAnimationFrame((now) => {
    frame.asked = false;
    frame.number += 1;
    advance(now);
    for (const step of steps) step();
  });
}

const ease = (share) => (share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2);

/** Moves everything that moves on to this time. */
function advance(now) {
  if (layout.share < 1) {
    if (layout.started === 0) layout.started = now;
    const lasts = layout.from?.name === "before" ? GROW_MS : MOVE_MS;
    layout.share = stillness.matches ? 1 : Math.min(1, (now - layout.started) / lasts);
    redraw();
  }
  if (frame.glide) {
    const { from, to, started } = frame.glide;
    frame.glide.started = started || now;
    const share = stillness.matches ? 1 : Math.min(1, (now - frame.glide.started) / MOVE_MS);
    const part = ease(share);
    view.scale = from.scale * (to.scale / from.scale) ** part;
    view.x = from.x + (to.x - from.x) * part;
    view.y = from.y + (to.y - from.y) * part;
    goal.scale = view.scale;
    if (share === 1) frame.glide = null;
    redraw();
    return;
  }
  if (view.scale !== goal.scale) {
    const ratio = goal.scale / view.scale;
    const next = stillness.matches || Math.abs(Math.log(ratio)) < 0.003 ? goal.scale : view.scale * ratio ** 0.3;
    zoomAround(goal.x, goal.y, next);
    redraw();
  }
}

const windowWidth = () => canvas.clientWidth;
const windowHeight = () => canvas.clientHeight;
/** The window's part that no bar covers. */
const TOP_BAR = 64;

/** What the map shows first where it is crowded, and the pictures that are looked for; others say. */
const crowding = { first: () => [], lit: null };

/** Whether a layout shows only as many pictures as there is room for. Many points without a picture are all seen, as dots. */
const isCrowd = (of) => of.name === "map" && !wall.dots;

/** The least and most pixels of a dot. */
const [LEAST_DOT, MOST_DOT] = [2, 14];
const dotSide = (scale) => Math.min(MOST_DOT, Math.max(LEAST_DOT, scale));

/** Pixels of a tile in a layout: on the map they grow more slowly than it is zoomed. */
function sideIn(of) {
  if (of.name !== "map") return view.scale;
  if (wall.dots) return dotSide(view.scale);
  return tilePixels(windowWidth(), windowHeight(), view.scale / wholeView(of).scale);
}

/** Pixels of a tile, also on its way from one layout to the next. */
function tileSide() {
  const { from, to, share } = layout;
  if (share === 1) return sideIn(to);
  return sideIn(from) + (sideIn(to) - sideIn(from)) * ease(share);
}

/** What there is room for on the map. */
const crowd = () => crowdOf(layout.to, sideIn(layout.to) / view.scale, crowding.first, crowding.lit);

/** A point of the window in cells. */
function toWall(px, py) {
  return [view.x + (px - windowWidth() / 2) / view.scale, view.y + (py - windowHeight() / 2) / view.scale];
}

/** A point of the wall in pixels of the window. */
function toWindow(x, y) {
  return [(x - view.x) * view.scale + windowWidth() / 2, (y - view.y) * view.scale + windowHeight() / 2];
}

/** The view that shows a whole layout. */
function wholeView(of) {
  const top = windowWidth() > 760 ? TOP_BAR : TOP_BAR + 48;
  const labels = of.labels.some((label) => label.below) ? 52 : 0;
  const around = labels ? 90 : isCrowd(of) ? tilePixels(windowWidth(), windowHeight(), 1) + 8 : 24;
  const [width, height] = [windowWidth() - around, windowHeight() - top - around / 2 - labels];
  const scale = Math.min(width / of.width, height / of.height, 256);
  return { x: of.width / 2, y: of.height / 2 - (top - 12 - labels) / 2 / scale, scale };
}

const farthest = () => wholeView(layout.to).scale / 2;
const limited = (scale) => Math.min(CLOSEST, Math.max(Math.min(farthest(), CLOSEST), scale));

function zoomAround(px, py, scale) {
  const [x, y] = toWall(px, py);
  view.scale = scale;
  view.x = x - (px - windowWidth() / 2) / scale;
  view.y = y - (py - windowHeight() / 2) / scale;
  keepInside();
}

/** Zooms by a factor, smoothly, around a point of the window. */
function zoomBy(factor, px = windowWidth() / 2, py = windowHeight() / 2) {
  frame.glide = null;
  Object.assign(goal, { scale: limited(goal.scale * factor), x: px, y: py });
  redraw();
}

/** The same at once. */
function zoomTo(scale, px, py) {
  zoomAround(px, py, limited(scale));
  goal.scale = view.scale;
}

/** The middle of the window stays on the wall. */
function keepInside() {
  view.x = Math.min(layout.to.width, Math.max(0, view.x));
  view.y = Math.min(layout.to.height, Math.max(-TOP_BAR / view.scale, view.y));
}

/** Brings a point of the wall to the middle of the window. */
function lookAt(x, y) {
  frame.glide = null;
  Object.assign(view, { x, y });
  goal.scale = view.scale;
  keepInside();
  redraw();
}

function panBy(dx, dy) {
  lookAt(view.x - dx / view.scale, view.y - dy / view.scale);
}

/** Goes to a view without moving there, in the layout that is meant. */
function jumpTo(to) {
  layout.share = 1;
  view.scale = to.scale;
  lookAt(to.x, to.y);
}

function glideTo(to) {
  frame.glide = { from: { ...view }, to, started: 0 };
  redraw();
}

function showAll() {
  glideTo(wholeView(layout.to));
}

/** Brings a picture into the window if it is not in it. */
function reveal(i) {
  const [x, y] = [layout.to.x[i], layout.to.y[i]];
  const scale = Math.max(view.scale, 48);
  const [px, py] = toWindow(x, y);
  const margin = Math.min(scale, 120);
  const inside =
    px > margin && py > margin + TOP_BAR / 2 && px < windowWidth() - margin && py < windowHeight() - margin;
  if (!inside || view.scale < 24) glideTo({ x, y, scale });
}

function switchTo(name) {
  const to = layoutOf(name);
  if (layout.to === to) return;
  layout.from = layout.to;
  layout.to = to;
  layout.share = layout.from ? 0 : 1;
  layout.started = 0;
  if (layout.from) showAll();
}

/** Shows once more how the wall grew: from where pictures were to where they are. */
function replay() {
  Object.assign(layout, { from: layoutOf("before"), to: layoutOf("grid"), share: 0, started: 0 });
  glideTo(wholeView(layout.to));
}

/** The picture at a point of the window, or -1. */
function pictureAt(px, py) {
  const [x, y] = toWall(px, py);
  const of = layout.to;
  if (of.name === "grid") {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const inside = column >= 0 && row >= 0 && column < wall.columns && row < wall.rows;
    return inside ? inCell[row * wall.columns + column] : -1;
  }
  const half = sideIn(of) / view.scale / 2;
  const crowded = isCrowd(of) ? crowd() : null;
  let found = -1;
  eachWithin(of, [x - half, y - half, x + half, y + half], (i) => {
    if (crowded) {
      const { at, shown } = crowded;
      if (at[i] < shown && (found < 0 || at[i] < at[found])) found = i;
      // What is drawn last lies on top.
    } else found = Math.max(found, i);
  });
  return found;
}

/** Calls `each` for every picture that is in the window and has room, with its middle in pixels; ends where it returns STOP. */
function eachVisible(each) {
  if (!isThere()) return;
  const { from, to, share } = layout;
  const part = ease(share);
  const [cx, cy, scale, half] = [windowWidth() / 2, windowHeight() / 2, view.scale, tileSide() / 2];
  const [left, top, right, bottom] = [...toWall(-half, -half), ...toWall(2 * cx + half, 2 * cy + half)];
  const at = (i, x, y) => each(i, (x - view.x) * scale + cx, (y - view.y) * scale + cy);
  if (part < 1) {
    for (let i = 0; i < count; i += 1) {
      const x = from.x[i] + (to.x[i] - from.x[i]) * part;
      const y = from.y[i] + (to.y[i] - from.y[i]) * part;
      if (x > left && y > top && x < right && y < bottom && at(i, x, y) === STOP) return;
    }
    return;
  }
  const crowded = isCrowd(to) ? crowd() : null;
  // From afar few are seen of many that are in the window.
  if (crowded && crowded.shown < (count * (right - left) * (bottom - top)) / (to.width * to.height)) {
    for (let n = 0; n < crowded.shown; n += 1) {
      const i = crowded.order[n];
      const [x, y] = [to.x[i], to.y[i]];
      if (x > left && y > top && x < right && y < bottom && at(i, x, y) === STOP) return;
    }
    return;
  }
  eachWithin(to, [left, top, right, bottom], (i) =>
    crowded && crowded.at[i] >= crowded.shown ? null : at(i, to.x[i], to.y[i]),
  );
}

// biome-ignore format: a name a line is too long a list
page.view = {
  canvas, view, layout, frame, crowding, crowd, isCrowd, dotSide, tileSide, redraw, steps, windowWidth, windowHeight, toWall, toWindow, ease, eachVisible,
  pictureAt, wholeView, limited, zoomBy, zoomTo, lookAt, panBy, glideTo, jumpTo, showAll, reveal, switchTo, replay,
};
