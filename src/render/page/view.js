// What is seen: the middle of the window in cells, and the pixels of a cell. And the hands on it.

const canvas = element("wall");
const view = { x: 0, y: 0, scale: 1 };
/** Zooming comes to rest here, around a point of the window that stays where it is. */
const goal = { scale: 1, x: 0, y: 0 };
/** Pictures move from one layout to the next: `share` of the way is behind them. */
const layout = { from: null, to: null, share: 1, started: 0 };
const MOVE_MS = 900;
const CLOSEST = 700;

const frame = { number: 0, asked: false, glide: null };

/** Asks for a frame; nothing is drawn unless something changed. */
function redraw() {
  if (frame.asked) return;
  frame.asked = true;
  requestAnimationFrame((now) => {
    frame.asked = false;
    frame.number += 1;
    advance(now);
    draw();
    loadWanted();
    remember();
  });
}

const ease = (share) => (share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2);

/** Moves everything that moves on to this time. */
function advance(now) {
  if (layout.share < 1) {
    if (layout.started === 0) layout.started = now;
    layout.share = stillness.matches ? 1 : Math.min(1, (now - layout.started) / MOVE_MS);
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
  const labels = of.labels.some((label) => label.below) ? 40 : 0;
  const [width, height] = [windowWidth() - (labels ? 90 : 24), windowHeight() - top - 12 - labels];
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

/** The middle of the window stays on the wall. */
function keepInside() {
  view.x = Math.min(layout.to.width, Math.max(0, view.x));
  view.y = Math.min(layout.to.height, Math.max(-TOP_BAR / view.scale, view.y));
}

function panBy(dx, dy) {
  frame.glide = null;
  view.x -= dx / view.scale;
  view.y -= dy / view.scale;
  goal.scale = view.scale;
  keepInside();
  redraw();
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
  if (layout.to && layout.to.name === name) return;
  layout.from = layout.to;
  layout.to = layoutOf(name);
  layout.share = layout.from ? 0 : 1;
  layout.started = 0;
  if (layout.from) showAll();
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
  // What is drawn last lies on top.
  for (let i = count - 1; i >= 0; i -= 1) {
    if (Math.abs(of.x[i] - x) <= 0.5 && Math.abs(of.y[i] - y) <= 0.5) return i;
  }
  return -1;
}

// Pointers: one drags, two pinch, one that hardly moves taps.

const pointers = new Map();
const TAP_PIXELS = 6;
let tap = null;
let fling = null;

canvas.addEventListener("pointerdown", (event) => {
  // The other buttons of a mouse are the browser's.
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  tap = pointers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  fling = { x: 0, y: 0, at: event.timeStamp };
});

canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  const now = [event.clientX, event.clientY];
  if (!before) {
    if (event.pointerType === "mouse") hover(...now);
    return;
  }
  if (tap && Math.hypot(now[0] - tap.x, now[1] - tap.y) > TAP_PIXELS) {
    tap = null;
    canvas.classList.add("dragging");
    hideCard();
  }
  if (!tap && pointers.size === 1) {
    panBy(now[0] - before[0], now[1] - before[1]);
    const passed = Math.max(1, event.timeStamp - fling.at);
    fling = { x: (now[0] - before[0]) / passed, y: (now[1] - before[1]) / passed, at: event.timeStamp };
  } else if (pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const spread = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
    const middle = (point) => [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
    const [from, to] = [middle(before), middle(now)];
    panBy(to[0] - from[0], to[1] - from[1]);
    zoomAround(...to, limited((view.scale * spread(now)) / spread(before)));
    goal.scale = view.scale;
  }
  pointers.set(event.pointerId, now);
});

function release(event) {
  if (!pointers.delete(event.pointerId)) return;
  canvas.classList.remove("dragging");
  if (tap && event.type === "pointerup") tapped(event.clientX, event.clientY, event.pointerType);
  else if (pointers.size === 0 && event.timeStamp - fling.at < 60 && !stillness.matches) glideOn();
  tap = null;
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", (event) => {
  // A finger leaves whenever it is lifted.
  if (event.pointerType === "mouse") hideCard();
});

/** A wall that is let go of while it moves runs on a little. */
function glideOn() {
  const reach = 220;
  const [dx, dy] = [fling.x * reach, fling.y * reach];
  if (Math.hypot(dx, dy) < 12) return;
  const to = { x: view.x - dx / view.scale, y: view.y - dy / view.scale, scale: view.scale };
  to.x = Math.min(layout.to.width, Math.max(0, to.x));
  to.y = Math.min(layout.to.height, Math.max(0, to.y));
  glideTo(to);
}

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    // A pinch on a touchpad comes as a wheel with the control key.
    const speed = event.ctrlKey ? 0.01 : 0.0022;
    zoomBy(Math.exp(-event.deltaY * lines * speed), event.clientX, event.clientY);
    hideCard();
  },
  { passive: false },
);
