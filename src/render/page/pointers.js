// Pointers on the grid: one drags, two zoom, and one that hardly moves is a tap.

const { reducedMotion } = page.data;
const { canvas, view, layout, pictureAt, panBy, zoomBy, zoomTo, glideTo } = page.view;
const { pinch, wheelFactor } = page.gestures;
const { hover, onTap, hideCard } = page.card;
const { lasso, extendLasso, closeLasso } = page.selection;

const pointers = new Map();
/** A pointer that moves farther than this many pixels is not a tap. */
const TAP_PIXELS = 6;
/** Where the pointer was pressed, while it may still be a tap. */
let tap = null;
/** The velocity of the last movement in pixels per millisecond, and its time. */
let fling = null;
let drawsLasso = false;

canvas.addEventListener("pointerdown", (event) => {
  // Other mouse buttons keep their meaning in the browser.
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  tap = pointers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  fling = { x: 0, y: 0, at: event.timeStamp };
  drawsLasso = pointers.size === 1 && (lasso.on || event.shiftKey);
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
  if (drawsLasso) {
    if (!tap) extendLasso(...now);
  } else if (!tap && pointers.size === 1) {
    panBy(now[0] - before[0], now[1] - before[1]);
    const elapsed = Math.max(1, event.timeStamp - fling.at);
    fling = { x: (now[0] - before[0]) / elapsed, y: (now[1] - before[1]) / elapsed, at: event.timeStamp };
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
  if (drawsLasso) {
    drawsLasso = false;
    if (event.type === "pointerup") closeLasso(tap ? pictureAt(event.clientX, event.clientY) : -1);
  } else if (tap && event.type === "pointerup") onTap(event.clientX, event.clientY);
  else if (pointers.size === 0 && event.timeStamp - fling.at < 60 && !reducedMotion.matches) glideOn();
  tap = null;
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", (event) => {
  // A finger also "leaves" when it is lifted, and then the card has to stay.
  if (event.pointerType === "mouse") hideCard();
});

/** Continues the movement of a drag that was released while moving. */
function glideOn() {
  // The velocity times this many milliseconds is the distance.
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
    zoomBy(wheelFactor(event), event.clientX, event.clientY);
    hideCard();
  },
  { passive: false },
);
