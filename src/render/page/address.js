// The view is in the address, so that a place can be linked:
// #layout=map&x=3.5&y=2&zoom=40&search=sea&kinds=post&from=…&to=…&is.artist=…&only=…&seams=1&picture=…

const { isSettled, fileName, numberOf } = page.data;
const { possibleLayouts } = page.layouts;
const { view, layout, frame, wholeView, limited, jumpTo } = page.view;
const { picked, shows, mark, show } = page.picked;
const { looking } = page.search;
const { written } = page.facets;
const { tint, tintBy } = page.tints;
const { lookFor, chooseLayout } = page.controls;

let remembering = 0;

/** Writes the view into the address, once it rests; of the first view there is nothing to say. */
function remember() {
  if (!isSettled()) return;
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const round = (value) => String(Number(value.toFixed(2)));
    const state = new URLSearchParams();
    if (layout.to.name !== possibleLayouts()[0]) state.set("layout", layout.to.name);
    const at = frame.glide?.to ?? view;
    const all = wholeView(layout.to);
    if (Math.abs(at.scale / all.scale - 1) > 0.01 || Math.hypot(at.x - all.x, at.y - all.y) * all.scale > 2) {
      // The map has the proportions of its window; in the address it has none.
      const [sx, sy] = layout.to.stretch ?? [1, 1];
      for (const [key, value] of [
        ["x", at.x / sx],
        ["y", at.y / sy],
        ["zoom", at.scale],
      ])
        state.set(key, round(value));
    }
    if (looking.text) state.set("search", looking.text);
    if (looking.kinds) state.set("kinds", [...looking.kinds].join(","));
    if (looking.from !== null) state.set("from", looking.from);
    if (looking.to !== null) state.set("to", looking.to);
    for (const [key, value] of written()) state.append(key, value);
    if (looking.only) state.set("only", [...looking.only].map(fileName).join(","));
    if (tint.name) state.set("colour", tint.name);
    for (const what of ["seams", "new"]) if (shows[what]) state.set(what, "1");
    if (!shows.groups) state.set("groups", "0");
    if (picked.chosen >= 0) state.set("picture", fileName(picked.chosen));
    const hash = String(state) && `#${state}`;
    if (hash !== location.hash) history.replaceState(history.state, "", location.href.split("#")[0] + hash);
  }, 250);
}

/** Goes where the address says; whatever in it means nothing is left alone. */
function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  const number = (key) => (state.has(key) && Number.isFinite(Number(state.get(key))) ? Number(state.get(key)) : null);
  const possible = possibleLayouts();
  chooseLayout(possible.includes(state.get("layout")) ? state.get("layout") : possible[0]);
  const to = wholeView(layout.to);
  const [sx, sy] = layout.to.stretch ?? [1, 1];
  const at = (key, factor, other) => (number(key) === null ? other : number(key) * factor);
  if (number("zoom") > 0)
    Object.assign(to, { scale: limited(number("zoom")), x: at("x", sx, to.x), y: at("y", sy, to.y) });
  jumpTo(to);
  for (const what of ["seams", "new"]) show(what, state.get(what) === "1");
  show("groups", state.get("groups") !== "0");
  const name = state.get("picture");
  mark(name ? numberOf(name) : -1);
  const kinds = state.get("kinds")?.split(",") ?? null;
  const numbers = (state.get("only")?.split(",") ?? []).map(numberOf).filter((i) => i >= 0);
  const only = numbers.length > 0 ? numbers : null;
  tintBy(state.get("colour") ?? "");
  lookFor({ text: state.get("search") ?? "", kinds, from: number("from"), to: number("to"), only, pairs: [...state] });
}

page.address = { remember, recall };
