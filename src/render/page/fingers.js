// Touch and wheel in the open picture. Two fingers zoom. One finger moves a zoomed picture, and otherwise swipes:
// sideways to the next picture, down to close.

const { element } = page.data;
const { pinch, wheelFactor } = page.gestures;

const frame = element("frame");
/** Largest zoom factor, and smallest length of a swipe in pixels. */
const [MAX_ZOOM, MIN_SWIPE] = [8, 56];
/** The zoom factor of the picture in its frame, and its offset in pixels. */
const placement = { scale: 1, x: 0, y: 0 };
const touches = new Map();
let start = null;

/** What a swipe sideways (by 1 or -1 pictures) and a swipe down do. card.js sets both. */
const swipes = { aside: () => {}, down: () => {} };

function applyPlacement() {
  const picture = frame.firstElementChild;
  if (!picture) return;
  // A zoomed picture always fills its frame.
  const maxOffset = (side) => ((placement.scale - 1) * side) / 2;
  placement.x = Math.min(maxOffset(frame.clientWidth), Math.max(-maxOffset(frame.clientWidth), placement.x));
  placement.y = Math.min(maxOffset(frame.clientHeight), Math.max(-maxOffset(frame.clientHeight), placement.y));
  picture.style.transform =
    placement.scale === 1 ? "" : `translate(${placement.x}px, ${placement.y}px) scale(${placement.scale})`;
  frame.classList.toggle("near", placement.scale > 1);
}

function resetPlacement() {
  Object.assign(placement, { scale: 1, x: 0, y: 0 });
  touches.clear();
  applyPlacement();
}

/** Zooms the picture around a point of the window, which stays fixed. */
function scaleBy(factor, px, py) {
  const box = frame.getBoundingClientRect();
  const [cx, cy] = [px - box.left - box.width / 2, py - box.top - box.height / 2];
  const scale = Math.min(MAX_ZOOM, Math.max(1, placement.scale * factor));
  placement.x = cx - ((cx - placement.x) * scale) / placement.scale;
  placement.y = cy - ((cy - placement.y) * scale) / placement.scale;
  placement.scale = scale;
  applyPlacement();
}

frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  frame.setPointerCapture(event.pointerId);
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  start = touches.size === 1 ? [event.clientX, event.clientY] : null;
});

frame.addEventListener("pointermove", (event) => {
  const before = touches.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  if (touches.size === 2) {
    const { factor, to } = pinch(touches, event.pointerId, now);
    scaleBy(factor, ...to);
  } else if (placement.scale > 1) {
    placement.x += now[0] - before[0];
    placement.y += now[1] - before[1];
    applyPlacement();
  }
  touches.set(event.pointerId, now);
});

function endTouch(event) {
  if (!touches.delete(event.pointerId) || touches.size > 0) return;
  const [dx, dy] = start ? [event.clientX - start[0], event.clientY - start[1]] : [0, 0];
  start = null;
  if (event.type !== "pointerup" || placement.scale > 1) return;
  if (Math.abs(dx) > MIN_SWIPE && Math.abs(dx) > 1.5 * Math.abs(dy)) swipes.aside(dx < 0 ? 1 : -1);
  else if (dy > MIN_SWIPE && dy > 1.5 * Math.abs(dx)) swipes.down();
}
frame.addEventListener("pointerup", endTouch);
frame.addEventListener("pointercancel", endTouch);
frame.addEventListener("dblclick", (event) =>
  scaleBy(placement.scale > 1 ? 1 / MAX_ZOOM : 2.5, event.clientX, event.clientY),
);
frame.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    scaleBy(wheelFactor(event), event.clientX, event.clientY);
  },
  { passive: false },
);

page.fingers = { swipes, resetPlacement };
