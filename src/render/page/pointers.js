// Pointers: one drags, two pinch, one that hardly moves taps.

const { stillness } = page.data;
const { canvas, view, layout, pictureAt, panBy, zoomBy, zoomTo, glideTo } = page.view;
const { pinch, turned } = page.gestures;
const { hover, tapped, hideCard } = page.card;
const { loop, draw, closeLoop } = page.selection;

const pointers = new Map();
const TAP_PIXELS = 6;
let tap = null;
let fling = null;
let looping = false;

canvas.addEventListener("pointerdown", (event) => {
  // The other buttons of a mouse are the browser's.
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  tap = pointers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  fling = { x: 0, y: 0, at: event.timeStamp };
  looping = pointers.size === 1 && (loop.on || event.shiftKey);
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
  if (looping) {
    if (!tap) draw(...now);
  } else if (!tap && pointers.size === 1) {
    panBy(now[0] - before[0], now[1] - before[1]);
    const passed = Math.max(1, event.timeStamp - fling.at);
    fling = { x: (now[0] - before[0]) / passed, y: (now[1] - before[1]) / passed, at: event.timeStamp };
  } else if (pointers.size === 2) {
    const { factor, from, to } = pinch(pointers, event.pointerId, now);
    panBy(to[0] - from[0], to[1] - from[1]);
    zoomTo(view.scale * factor, ...to);
  }
  pointers.set(event.pointerId, now);
});

function release(event) {
  if (!pointers.delete(event.pointerId)) return;
  canvas.classList.remove("dragging");
  if (looping) {
    looping = false;
    if (event.type === "pointerup") closeLoop(tap ? pictureAt(event.clientX, event.clientY) : -1);
  } else if (tap && event.type === "pointerup") tapped(event.clientX, event.clientY);
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
    zoomBy(turned(event), event.clientX, event.clientY);
    hideCard();
  },
  { passive: false },
);
