// The view is part of the address, so that one can link to it:
// #layout=map&x=3.5&y=2&zoom=40&search=sea&kinds=post&from=…&to=…&is.artist=…&only=…&seams=1&picture=…

const { isReady, fileName, numberOf } = page.data;
const { possibleLayouts } = page.layouts;
const { view, layout, frame, wholeView, clampScale, jumpTo } = page.view;
const { highlight, overlays, setFocused, setOverlay } = page.highlight;
const { query } = page.search;
const { filtersToPairs } = page.facets;
const { tint, tintBy } = page.tints;
const { setQuery, chooseLayout } = page.controls;

let writeTimer = 0;

/** Writes the view into the address once it has been at rest for a moment. Defaults are not written. */
function writeAddress() {
  if (!isReady()) return;
  clearTimeout(writeTimer);
  writeTimer = setTimeout(() => {
    const round = (value) => String(Number(value.toFixed(2)));
    const state = new URLSearchParams();
    if (layout.to.name !== possibleLayouts()[0]) state.set("layout", layout.to.name);
    const target = frame.glide?.to ?? view;
    const whole = wholeView(layout.to);
    if (
      Math.abs(target.scale / whole.scale - 1) > 0.01 ||
      Math.hypot(target.x - whole.x, target.y - whole.y) * whole.scale > 2
    ) {
      // The map is stretched to the window. The address has unstretched coordinates, so that it fits any window.
      const [sx, sy] = layout.to.stretch ?? [1, 1];
      for (const [key, value] of [
        ["x", target.x / sx],
        ["y", target.y / sy],
        ["zoom", target.scale],
      ])
        state.set(key, round(value));
    }
    if (query.text) state.set("search", query.text);
    if (query.kinds) state.set("kinds", [...query.kinds].join(","));
    if (query.from !== null) state.set("from", query.from);
    if (query.to !== null) state.set("to", query.to);
    for (const [key, value] of filtersToPairs()) state.append(key, value);
    if (query.only) state.set("only", [...query.only].map(fileName).join(","));
    if (tint.name) state.set("colour", tint.name);
    for (const overlay of ["seams", "new"]) if (overlays[overlay]) state.set(overlay, "1");
    if (!overlays.groups) state.set("groups", "0");
    if (highlight.focused >= 0) state.set("picture", fileName(highlight.focused));
    const hash = String(state) && `#${state}`;
    if (hash !== location.hash) history.replaceState(history.state, "", location.href.split("#")[0] + hash);
  }, 250);
}

/** Applies the view of the address. Unknown keys and invalid values are ignored. */
function readAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  const number = (key) => (state.has(key) && Number.isFinite(Number(state.get(key))) ? Number(state.get(key)) : null);
  const possible = possibleLayouts();
  chooseLayout(possible.includes(state.get("layout")) ? state.get("layout") : possible[0]);
  const to = wholeView(layout.to);
  const [sx, sy] = layout.to.stretch ?? [1, 1];
  const coordinate = (key, factor, other) => (number(key) === null ? other : number(key) * factor);
  if (number("zoom") > 0)
    Object.assign(to, {
      scale: clampScale(number("zoom")),
      x: coordinate("x", sx, to.x),
      y: coordinate("y", sy, to.y),
    });
  jumpTo(to);
  for (const overlay of ["seams", "new"]) setOverlay(overlay, state.get(overlay) === "1");
  setOverlay("groups", state.get("groups") !== "0");
  const name = state.get("picture");
  setFocused(name ? numberOf(name) : -1);
  const kinds = state.get("kinds")?.split(",") ?? null;
  const numbers = (state.get("only")?.split(",") ?? []).map(numberOf).filter((i) => i >= 0);
  const only = numbers.length > 0 ? numbers : null;
  tintBy(state.get("colour") ?? "");
  setQuery({ text: state.get("search") ?? "", kinds, from: number("from"), to: number("to"), only, pairs: [...state] });
}

page.address = { writeAddress, readAddress };
