// The view: the centre of the window in cells, and the pixels of a cell; and its animation.

const { wall, count, element, pictureInCell, reducedMotion, columnsLoaded } = page.data;
const { layoutOf } = page.layouts;
const { tilePixels, thinOut } = page.thinning;
const { eachWithin, STOP } = page.spatial;

const canvas = element("wall");
const view = { x: 0, y: 0, scale: 1 };
/** The scale that zooming approaches, and the point of the window that stays fixed meanwhile. */
const zoomTarget = { scale: 1, x: 0, y: 0 };
/** The transition from one layout to the next; `progress` goes from 0 to 1. */
const layout = { from: null, to: null, progress: 1, started: 0 };
/** Duration of a transition of the layout or the view, and of the replay of a growth, in milliseconds. */
const MOVE_MS = 900;
const GROW_MS = 2600;
/** Largest scale, in pixels per cell. */
const MAX_SCALE = 700;

const frame = { number: 0, asked: false, glide: null };
/** The steps of a frame after the animation, in this order. Other files add theirs. */
const frameSteps = [];

/** Requests a frame. Frames are only drawn on request, so an unchanged page uses no processor time. */
function redraw() {
  if (frame.asked) return;
  frame.asked = true;
  requestAnimationFrame((now) => {
    frame.asked = false;
    frame.number += 1;
    advance(now);
    for (const step of frameSteps) step();
  });
}

const ease = (share) => (share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2);

/** Advances all animations to this time. */
function advance(now) {
  if (layout.progress < 1) {
    if (layout.started === 0) layout.started = now;
    const duration = layout.from?.name === "before" ? GROW_MS : MOVE_MS;
    layout.progress = reducedMotion.matches ? 1 : Math.min(1, (now - layout.started) / duration);
    redraw();
  }
  if (frame.glide) {
    const { from, to, started } = frame.glide;
    frame.glide.started = started || now;
    const progress = reducedMotion.matches ? 1 : Math.min(1, (now - frame.glide.started) / MOVE_MS);
    const part = ease(progress);
    // The scale changes geometrically, so that zooming appears even.
    view.scale = from.scale * (to.scale / from.scale) ** part;
    view.x = from.x + (to.x - from.x) * part;
    view.y = from.y + (to.y - from.y) * part;
    zoomTarget.scale = view.scale;
    if (progress === 1) frame.glide = null;
    redraw();
    return;
  }
  // In each frame, zooming covers a fixed share of the remaining change of log(scale), until the rest is too small to
  // see.
  if (view.scale !== zoomTarget.scale) {
    const ratio = zoomTarget.scale / view.scale;
    const next =
      reducedMotion.matches || Math.abs(Math.log(ratio)) < 0.003 ? zoomTarget.scale : view.scale * ratio ** 0.3;
    zoomAround(zoomTarget.x, zoomTarget.y, next);
    redraw();
  }
}

const windowWidth = () => canvas.clientWidth;
const windowHeight = () => canvas.clientHeight;
/** Pixels at the top of the window that the bar covers. */
const TOP_BAR = 64;

/** The pictures that thinning prefers: those of `first()`, and the `lit` ones. Other files set them. */
const thinning = { first: () => [], lit: null };

/**
 * Whether a layout shows only as many pictures as it has room for. This is so for the map, unless it shows very many
 * points without pictures (`wall.dots`), which are all drawn, as dots.
 */
const isThinned = (of) => of.name === "map" && !wall.dots;

/** Smallest and largest side of a dot in pixels. */
const [MIN_DOT, MAX_DOT] = [2, 14];
const dotSide = (scale) => Math.min(MAX_DOT, Math.max(MIN_DOT, scale));

/** Side of a tile in a layout, in pixels. On the map tiles grow more slowly than the map is zoomed. */
function sideIn(of) {
  if (of.name !== "map") return view.scale;
  if (wall.dots) return dotSide(view.scale);
  return tilePixels(windowWidth(), windowHeight(), view.scale / wholeView(of).scale);
}

/** Side of a tile in pixels, also during a transition. */
function tileSide() {
  const { from, to, progress } = layout;
  if (progress === 1) return sideIn(to);
  return sideIn(from) + (sideIn(to) - sideIn(from)) * ease(progress);
}

/** The pictures that the map has room for at the current scale. */
const thinned = () => thinOut(layout.to, sideIn(layout.to) / view.scale, thinning.first, thinning.lit);

/** Converts a point of the window from pixels to cells. */
function toCells(px, py) {
  return [view.x + (px - windowWidth() / 2) / view.scale, view.y + (py - windowHeight() / 2) / view.scale];
}

/** Converts a point of the layout from cells to pixels of the window. */
function toWindow(x, y) {
  return [(x - view.x) * view.scale + windowWidth() / 2, (y - view.y) * view.scale + windowHeight() / 2];
}

/** The view that shows a whole layout. */
function wholeView(of) {
  const top = windowWidth() > 760 ? TOP_BAR : TOP_BAR + 48;
  const labels = of.labels.some((label) => label.below) ? 52 : 0;
  const around = labels ? 90 : isThinned(of) ? tilePixels(windowWidth(), windowHeight(), 1) + 8 : 24;
  const [width, height] = [windowWidth() - around, windowHeight() - top - around / 2 - labels];
  const scale = Math.min(width / of.width, height / of.height, 256);
  return { x: of.width / 2, y: of.height / 2 - (top - 12 - labels) / 2 / scale, scale };
}

const minScale = () => wholeView(layout.to).scale / 2;
const clampScale = (scale) => Math.min(MAX_SCALE, Math.max(Math.min(minScale(), MAX_SCALE), scale));

function zoomAround(px, py, scale) {
  const [x, y] = toCells(px, py);
  view.scale = scale;
  view.x = x - (px - windowWidth() / 2) / scale;
  view.y = y - (py - windowHeight() / 2) / scale;
  clampToLayout();
}

/** Zooms by a factor, smoothly, around a point of the window. */
function zoomBy(factor, px = windowWidth() / 2, py = windowHeight() / 2) {
  frame.glide = null;
  Object.assign(zoomTarget, { scale: clampScale(zoomTarget.scale * factor), x: px, y: py });
  redraw();
}

/** Zooms to a scale immediately, around a point of the window. */
function zoomTo(scale, px, py) {
  zoomAround(px, py, clampScale(scale));
  zoomTarget.scale = view.scale;
}

/** Keeps the centre of the window inside the layout. */
function clampToLayout() {
  view.x = Math.min(layout.to.width, Math.max(0, view.x));
  view.y = Math.min(layout.to.height, Math.max(-TOP_BAR / view.scale, view.y));
}

/** Centres a point of the layout in the window. */
function lookAt(x, y) {
  frame.glide = null;
  Object.assign(view, { x, y });
  zoomTarget.scale = view.scale;
  clampToLayout();
  redraw();
}

function panBy(dx, dy) {
  lookAt(view.x - dx / view.scale, view.y - dy / view.scale);
}

/** Shows a view immediately, and ends a transition of the layout. */
function jumpTo(to) {
  layout.progress = 1;
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

/** Moves the view to a picture if it is not well inside the window, or too small to see. */
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
  layout.progress = layout.from ? 0 : 1;
  layout.started = 0;
  if (layout.from) showAll();
}

/** Replays the last growth: pictures move from their previous cells to their current ones. */
function replay() {
  Object.assign(layout, { from: layoutOf("before"), to: layoutOf("grid"), progress: 0, started: 0 });
  glideTo(wholeView(layout.to));
}

/** The picture at a point of the window, or -1. */
function pictureAt(px, py) {
  const [x, y] = toCells(px, py);
  const of = layout.to;
  if (of.name === "grid") {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const inside = column >= 0 && row >= 0 && column < wall.columns && row < wall.rows;
    return inside ? pictureInCell[row * wall.columns + column] : -1;
  }
  const half = sideIn(of) / view.scale / 2;
  const subset = isThinned(of) ? thinned() : null;
  let found = -1;
  eachWithin(of, [x - half, y - half, x + half, y + half], (i) => {
    if (subset) {
      const { at, shown } = subset;
      if (at[i] < shown && (found < 0 || at[i] < at[found])) found = i;
      // Pictures are drawn by number, so the one with the largest number is on top.
    } else found = Math.max(found, i);
  });
  return found;
}

/** Calls `each` for every visible picture in the window, with its centre in pixels, until it returns STOP. */
function eachVisible(each) {
  if (!columnsLoaded()) return;
  const { from, to, progress } = layout;
  const part = ease(progress);
  const [cx, cy, scale, half] = [windowWidth() / 2, windowHeight() / 2, view.scale, tileSide() / 2];
  const [left, top, right, bottom] = [...toCells(-half, -half), ...toCells(2 * cx + half, 2 * cy + half)];
  const callAt = (i, x, y) => each(i, (x - view.x) * scale + cx, (y - view.y) * scale + cy);
  if (part < 1) {
    for (let i = 0; i < count; i += 1) {
      const x = from.x[i] + (to.x[i] - from.x[i]) * part;
      const y = from.y[i] + (to.y[i] - from.y[i]) * part;
      if (x > left && y > top && x < right && y < bottom && callAt(i, x, y) === STOP) return;
    }
    return;
  }
  const subset = isThinned(to) ? thinned() : null;
  // When fewer pictures are visible than an index lookup would visit, go through the visible ones.
  if (subset && subset.shown < (count * (right - left) * (bottom - top)) / (to.width * to.height)) {
    for (let n = 0; n < subset.shown; n += 1) {
      const i = subset.order[n];
      const [x, y] = [to.x[i], to.y[i]];
      if (x > left && y > top && x < right && y < bottom && callAt(i, x, y) === STOP) return;
    }
    return;
  }
  eachWithin(to, [left, top, right, bottom], (i) =>
    subset && subset.at[i] >= subset.shown ? null : callAt(i, to.x[i], to.y[i]),
  );
}

// biome-ignore format: one name per line would be too long
page.view = {
  canvas, view, layout, frame, thinning, thinned, isThinned, dotSide, tileSide, redraw, frameSteps, windowWidth, windowHeight, toCells, toWindow, ease, eachVisible,
  pictureAt, wholeView, clampScale, zoomBy, zoomTo, lookAt, panBy, glideTo, jumpTo, showAll, reveal, switchTo, replay,
};
