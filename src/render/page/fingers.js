// Fingers and the wheel in the opened picture: two pinch, one pulls a picture that is larger than its frame, and otherwise swipes:
// aside to the next picture, down to close.

const { element } = page.data;
const { pinch, turned } = page.gestures;

const frame = element("frame");
const [NEAREST, SWIPE] = [8, 56];
/** How the picture lies in its frame: so many times its size, moved by so many pixels. */
const lies = { scale: 1, x: 0, y: 0 };
const touches = new Map();
let from = null;

const swipes = { aside: () => {}, down: () => {} };

function lay() {
  const shown = frame.firstElementChild;
  if (!shown) return;
  // Its edges come no farther in than the frame's.
  const room = (side) => ((lies.scale - 1) * side) / 2;
  lies.x = Math.min(room(frame.clientWidth), Math.max(-room(frame.clientWidth), lies.x));
  lies.y = Math.min(room(frame.clientHeight), Math.max(-room(frame.clientHeight), lies.y));
  shown.style.transform = lies.scale === 1 ? "" : `translate(${lies.x}px, ${lies.y}px) scale(${lies.scale})`;
  frame.classList.toggle("near", lies.scale > 1);
}

function lieStill() {
  Object.assign(lies, { scale: 1, x: 0, y: 0 });
  touches.clear();
  lay();
}

/** Makes the picture larger or smaller around a point of the window. */
function scaleBy(factor, px, py) {
  const box = frame.getBoundingClientRect();
  const [cx, cy] = [px - box.left - box.width / 2, py - box.top - box.height / 2];
  const scale = Math.min(NEAREST, Math.max(1, lies.scale * factor));
  lies.x = cx - ((cx - lies.x) * scale) / lies.scale;
  lies.y = cy - ((cy - lies.y) * scale) / lies.scale;
  lies.scale = scale;
  lay();
}

frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  frame.setPointerCapture(event.pointerId);
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  from = touches.size === 1 ? [event.clientX, event.clientY] : null;
});

frame.addEventListener("pointermove", (event) => {
  const before = touches.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  if (touches.size === 2) {
    const { factor, to } = pinch(touches, event.pointerId, now);
    scaleBy(factor, ...to);
  } else if (lies.scale > 1) {
    lies.x += now[0] - before[0];
    lies.y += now[1] - before[1];
    lay();
  }
  touches.set(event.pointerId, now);
});

function lift(event) {
  if (!touches.delete(event.pointerId) || touches.size > 0) return;
  const [dx, dy] = from ? [event.clientX - from[0], event.clientY - from[1]] : [0, 0];
  from = null;
  if (event.type !== "pointerup" || lies.scale > 1) return;
  if (Math.abs(dx) > SWIPE && Math.abs(dx) > 1.5 * Math.abs(dy)) swipes.aside(dx < 0 ? 1 : -1);
  else if (dy > SWIPE && dy > 1.5 * Math.abs(dx)) swipes.down();
}
frame.addEventListener("pointerup", lift);
frame.addEventListener("pointercancel", lift);
frame.addEventListener("dblclick", (event) =>
  scaleBy(lies.scale > 1 ? 1 / NEAREST : 2.5, event.clientX, event.clientY),
);
frame.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    scaleBy(turned(event), event.clientX, event.clientY);
  },
  { passive: false },
);

page.fingers = { swipes, lieStill };
