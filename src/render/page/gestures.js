// What two fingers and a wheel ask for, on the wall as in the opened picture.

/**
 * What one of two fingers asks for as it moves: how many times larger, and where the middle between them was and is. `fingers`
 * has where each was.
 */
function pinch(fingers, moved, now) {
  const other = [...fingers].find(([id]) => id !== moved)[1];
  const spread = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
  const middle = (point) => [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
  const before = fingers.get(moved);
  return { factor: spread(now) / spread(before), from: middle(before), to: middle(now) };
}

/** How many times larger a turn of the wheel makes it. */
function turned(event) {
  const lines = event.deltaMode === 1 ? 16 : 1;
  // A pinch on a touchpad comes as a wheel with the control key.
  const speed = event.ctrlKey ? 0.01 : 0.0022;
  return Math.exp(-event.deltaY * lines * speed);
}

page.gestures = { pinch, turned };
