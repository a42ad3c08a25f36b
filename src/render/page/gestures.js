// The gestures of two fingers and of the wheel, for the grid and for the open picture.

/**
 * The zoom factor when one of two fingers moves, and the point between the fingers before and after. `fingers` has the
 * last position of each finger, and `now` is the new position of the finger `moved`.
 */
function pinch(fingers, moved, now) {
  const other = [...fingers].find(([id]) => id !== moved)[1];
  const spread = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
  const middle = (point) => [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
  const before = fingers.get(moved);
  return { factor: spread(now) / spread(before), from: middle(before), to: middle(now) };
}

/** The zoom factor of a wheel event. */
function wheelFactor(event) {
  const pixelsPerUnit = event.deltaMode === 1 ? 16 : 1;
  // Browsers report a pinch on a touchpad as a wheel event with the control key.
  const speed = event.ctrlKey ? 0.01 : 0.0022;
  return Math.exp(-event.deltaY * pixelsPerUnit * speed);
}

page.gestures = { pinch, wheelFactor };
