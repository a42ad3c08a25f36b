// What is looked for, what is shown, and the address that says it all.

const looking = { text: "", kinds: null, from: null, to: null };

/** Without accents and case: who looks for "cafe" means "Café" too. */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
let haystack = null;

function look() {
  const { time, kinds, kind } = block("facts");
  const words = plain(looking.text).split(/\s+/).filter(Boolean);
  const all = words.length === 0 && !looking.kinds && looking.from === null && looking.to === null;
  if (words.length > 0 && !haystack) {
    const { caption, path } = block("texts");
    haystack = caption.map((text, i) => plain(`${text}\n${path[i]}`));
  }
  const fits = (i) =>
    words.every((word) => haystack[i].includes(word)) &&
    (!looking.kinds || looking.kinds.has(kinds[kind[i]])) &&
    (looking.from === null || (time[i] !== null && time[i] >= looking.from)) &&
    (looking.to === null || (time[i] !== null && time[i] < looking.to));
  lit = all ? null : Uint8Array.from({ length: count }, (_, i) => (fits(i) ? 1 : 0));
  const hits = lit ? lit.reduce((sum, one) => sum + one, 0) : count;
  element("count").hidden = all;
  element("count").textContent = `${hits.toLocaleString("en")} of ${count.toLocaleString("en")}`;
  element("more").classList.toggle("active", Boolean(looking.kinds) || looking.from !== null || looking.to !== null);
  remember();
  redraw();
}

element("search").addEventListener("input", (event) => {
  looking.text = event.target.value;
  look();
});
element("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !lit) return;
  const first = lit.indexOf(1);
  if (first < 0) return;
  choose(first);
  reveal(first);
  canvas.focus();
});

element("more").addEventListener("click", () => {
  const panel = element("panel");
  panel.hidden = !panel.hidden;
  element("more").setAttribute("aria-expanded", String(!panel.hidden));
});

/** Fills the panel with what these pictures can be told apart by. */
function makePanel() {
  const facts = block("facts");
  makeKinds(facts);
  makeTimes(facts);
  makeLegend(facts);
  element("seams-label").hidden = !wall.hasCells || !block("likeness").seams;
  element("new-label").hidden = facts.new.length === 0;
  element("new-text").textContent = `The ${facts.new.length.toLocaleString("en")} that are new`;
  element("shows").hidden = element("seams-label").hidden && element("new-label").hidden;
  for (const what of ["seams", "new"]) {
    element(what).addEventListener("change", (event) => {
      shows[what] = event.target.checked;
      remember();
      redraw();
    });
  }
  element("more").hidden = ["kinds", "times", "shows", "legend"].every((id) => element(id).hidden);
}

function makeKinds({ kinds }) {
  const named = kinds.filter(Boolean);
  element("kinds").hidden = named.length < 2;
  for (const kind of named) {
    const label = document.createElement("label");
    const check = document.createElement("input");
    check.type = "checkbox";
    check.checked = true;
    check.value = kind;
    check.addEventListener("change", () => {
      const on = [...element("kinds").querySelectorAll("input:checked")].map((input) => input.value);
      looking.kinds = on.length === named.length ? null : new Set(on);
      look();
    });
    label.append(check, kind);
    element("kinds").append(label);
  }
}

// The slider goes by days, or by months where that would be too many.
const ticks = [];

function makeTimes({ time }) {
  const known = time.filter((t) => t !== null);
  const [first, last] = [
    known.reduce((a, b) => Math.min(a, b), Infinity),
    known.reduce((a, b) => Math.max(a, b), -Infinity),
  ];
  element("times").hidden = known.length === 0 || last - first < 86400;
  if (element("times").hidden) return;
  const step = last - first < 800 * 86400 ? "day" : "month";
  const date = new Date(1000 * first);
  date.setUTCHours(0, 0, 0, 0);
  if (step === "month") date.setUTCDate(1);
  for (
    ;
    date.getTime() / 1000 <= last;
    step === "month" ? date.setUTCMonth(date.getUTCMonth() + 1) : date.setUTCDate(date.getUTCDate() + 1)
  ) {
    ticks.push(date.getTime() / 1000);
  }
  ticks.push(date.getTime() / 1000);
  for (const id of ["from", "to"]) {
    element(id).max = ticks.length - 1;
    element(id).value = id === "from" ? 0 : ticks.length - 1;
    element(id).addEventListener("input", () => {
      slide(id);
      look();
    });
  }
  slide("to");
}

/** Takes over where the slider's two handles are; the one that is moved pushes the other. */
function slide(moved) {
  const [from, to] = [element("from"), element("to")];
  if (Number(from.value) >= Number(to.value)) {
    if (moved === "from") to.value = Number(from.value) + 1;
    else from.value = Number(to.value) - 1;
    if (Number(from.value) >= Number(to.value)) from.value = Number(to.value) - 1;
  }
  const [first, last] = [Number(from.value), Number(to.value)];
  looking.from = first === 0 ? null : ticks[first];
  looking.to = last === ticks.length - 1 ? null : ticks[last];
  const day = (seconds) => dayFormat.format(1000 * seconds);
  element("span").textContent = `${day(ticks[first])} – ${day(ticks[last] - 86400)}`;
  from.setAttribute("aria-valuetext", day(ticks[first]));
  to.setAttribute("aria-valuetext", day(ticks[last] - 86400));
}

function makeLegend({ legend }) {
  element("legend").hidden = !legend;
  if (!legend) return;
  element("legend-title").textContent = legend.column;
  const items = legend.entries.slice(0, 40).map(([text, colour]) => {
    const item = document.createElement("li");
    const swatch = document.createElement("canvas");
    [swatch.width, swatch.height] = [14, 14];
    const context = swatch.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 14, 14);
    const name = document.createElement("bdi");
    name.textContent = text;
    item.append(swatch, name);
    return item;
  });
  element("legend-list").replaceChildren(...items);
  element("panel").hidden = windowWidth() <= 760;
  element("more").setAttribute("aria-expanded", String(!element("panel").hidden));
}

function chooseLayout(name) {
  switchTo(name);
  for (const button of document.querySelectorAll("#layouts button")) {
    const on = button.dataset.layout === name;
    button.setAttribute("aria-checked", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  hideCard();
  remember();
  redraw();
}

// The address: #layout=map&x=3.5&y=2&zoom=40&search=sea&kinds=post&from=…&to=…&seams=1&picture=…

let settled = false;
let remembering = 0;

/** Writes the view into the address, once it rests. */
function remember() {
  if (!settled) return;
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const round = (value) => String(Number(value.toFixed(2)));
    const state = new URLSearchParams({ layout: layout.to.name });
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
    history.replaceState(null, "", `#${state}`);
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
  if (ticks.length > 0) {
    const tick = (key, otherwise) => {
      const at = number(key) === null ? -1 : ticks.findIndex((seconds) => seconds >= number(key));
      return at < 0 ? otherwise : at;
    };
    element("from").value = tick("from", 0);
    element("to").value = tick("to", ticks.length - 1);
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
