// The view is in the address, so that a place can be linked:
// #layout=map&x=3.5&y=2&zoom=40&search=sea&kinds=post&from=…&to=…&seams=1&picture=…

let settled = false;
let remembering = 0;

/** Writes the view into the address, once it rests; of the first view there is nothing to say. */
function remember() {
  if (!settled) return;
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const round = (value) => String(Number(value.toFixed(2)));
    const state = new URLSearchParams();
    if (layout.to.name !== possibleLayouts()[0]) state.set("layout", layout.to.name);
    const at = frame.glide?.to ?? view;
    const all = wholeView(layout.to);
    if (Math.abs(at.scale / all.scale - 1) > 0.01 || Math.hypot(at.x - all.x, at.y - all.y) * all.scale > 2) {
      for (const [key, value] of [
        ["x", at.x],
        ["y", at.y],
        ["zoom", at.scale],
      ])
        state.set(key, round(value));
    }
    if (looking.text) state.set("search", looking.text);
    if (looking.kinds) state.set("kinds", [...looking.kinds].join(","));
    if (looking.from !== null) state.set("from", looking.from);
    if (looking.to !== null) state.set("to", looking.to);
    for (const what of ["seams", "new"]) if (shows[what]) state.set(what, "1");
    if (chosen >= 0) state.set("picture", block("facts").name[chosen]);
    const hash = String(state) && `#${state}`;
    if (hash !== location.hash) history.replaceState(null, "", location.href.split("#")[0] + hash);
  }, 250);
}

/** Goes where the address says; whatever in it means nothing is left alone. */
function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  const number = (key) => (state.has(key) && Number.isFinite(Number(state.get(key))) ? Number(state.get(key)) : null);
  const possible = possibleLayouts();
  chooseLayout(possible.includes(state.get("layout")) ? state.get("layout") : possible[0]);
  const to = wholeView(layout.to);
  if (number("zoom") > 0)
    Object.assign(to, { scale: limited(number("zoom")), x: number("x") ?? to.x, y: number("y") ?? to.y });
  frame.glide = null;
  Object.assign(view, to);
  goal.scale = view.scale;
  layout.share = 1;
  keepInside();
  looking.text = state.get("search") ?? "";
  element("search").value = looking.text;
  const boxes = [...element("kinds").querySelectorAll("input")];
  const kinds = state.get("kinds")?.split(",");
  for (const check of boxes) check.checked = !kinds || kinds.includes(check.value);
  looking.kinds = kinds ? new Set(kinds) : null;
  if (periods.length > 1) {
    const [from, to] = [number("from") ?? Number.NEGATIVE_INFINITY, number("to") ?? Number.POSITIVE_INFINITY];
    element("from").value = periods.filter((period) => period.to <= from).length;
    element("to").value = periods.filter((period) => period.from < to).length;
    slide("to");
  }
  for (const what of ["seams", "new"]) {
    shows[what] = state.get(what) === "1";
    element(what).checked = shows[what];
  }
  const name = state.get("picture");
  chosen = name ? block("facts").name.indexOf(name) : -1;
  look();
}
