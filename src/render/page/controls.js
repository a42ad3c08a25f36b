// The panels: what is filtered by, and how it is viewed.

const { wall, element, columns } = page.data;
const { canvas, redraw, windowWidth, switchTo, replay } = page.view;
const { show } = page.picked;
const { hideCard } = page.card;
const { makeGroups } = page.groups;
const { read } = page.facets;
const { ask, look, lookAndGo, makeSearch } = page.search;
const { makeTimes, setTimes } = page.periods;
const { makeTints } = page.tints;
const { makeSelection } = page.selection;

/** Sets all that is looked for, and its controls; `pairs` are those of the address. */
function lookFor({ text = "", kinds = null, from = null, to = null, only = null, pairs = [] }) {
  ask({ text, from, to, kinds: kinds && new Set(kinds), only: only && new Set(only) });
  element("search").value = text;
  for (const check of element("kinds").querySelectorAll("input")) check.checked = !kinds || kinds.includes(check.value);
  setTimes(from, to);
  read(pairs);
  look();
}

/** Shows everything again. */
element("reset").addEventListener("click", () => {
  lookFor({});
});

// One panel at a time; what is not in it closes it.
const panels = [
  ["more", "panel"],
  ["look", "looks"],
].map(([button, panel]) => ({ button: element(button), panel: element(panel) }));

function openPanel(wanted) {
  for (const { button, panel } of panels) {
    panel.hidden = panel !== wanted;
    button.setAttribute("aria-expanded", String(panel === wanted));
  }
}
for (const { button, panel } of panels) button.addEventListener("click", () => openPanel(panel.hidden ? panel : null));
// A press beside an open panel closes it and does nothing else.
document.addEventListener(
  "pointerdown",
  (event) => {
    if (event.target !== canvas || panels.every(({ panel }) => panel.hidden)) return;
    event.stopPropagation();
    openPanel(null);
  },
  { capture: true },
);
const closePanels = () => {
  const open = panels.find(({ panel }) => !panel.hidden);
  openPanel(null);
  open?.button.focus();
  return Boolean(open);
};

/** Fills the panels with what these pictures can be told apart by. */
function makePanels() {
  const fresh = columns.fresh?.reduce((sum, one) => sum + one, 0) ?? 0;
  makeSearch();
  makeKinds();
  makeTimes();
  makeLegend();
  makeTints();
  makeSelection((only) => {
    ask({ only: new Set(only) });
    lookAndGo();
  });
  element("seams-label").hidden = !wall.hasCells || !columns.right;
  element("new-label").hidden = fresh === 0;
  element("grew").hidden = !wall.hasCells || !wall.before;
  element("grew").addEventListener("click", () => {
    chooseLayout("grid");
    replay();
  });
  element("new-text").textContent = `Frame the ${fresh.toLocaleString("en")} that are new`;
  makeGroups();
  element("shows").hidden = ["seams-label", "new-label", "groups-label", "grew"].every((id) => element(id).hidden);
  for (const [what, id] of [
    ["seams", "seams"],
    ["new", "new"],
    ["groups", "groups-shown"],
  ]) {
    element(id).addEventListener("change", (event) => show(what, event.target.checked));
  }
  const hide = (button, parts) => {
    element(button).hidden = parts.every((id) => element(id).hidden);
  };
  hide("more", ["kinds", "times", "facets"]);
  hide("look", ["shows", "groups", "legend", "tints"]);
}

function makeKinds() {
  const named = wall.kinds.filter(Boolean);
  element("kinds").hidden = named.length < 2;
  for (const kind of named) {
    const label = document.createElement("label");
    const check = document.createElement("input");
    check.type = "checkbox";
    check.checked = true;
    check.value = kind;
    check.addEventListener("change", () => {
      const on = [...element("kinds").querySelectorAll("input:checked")].map((input) => input.value);
      ask({ kinds: on.length === named.length ? null : new Set(on) });
      lookAndGo();
    });
    label.append(check, kind);
    element("kinds").append(label);
  }
}

function makeLegend() {
  const { legend } = wall;
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
  // Colours without their meaning are of no use.
  if (windowWidth() > 760) openPanel(element("looks"));
}

function chooseLayout(name) {
  switchTo(name);
  for (const button of document.querySelectorAll("#layouts button")) {
    const on = button.dataset.layout === name;
    button.setAttribute("aria-checked", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  hideCard();
  redraw();
}

page.controls = { lookFor, makePanels, closePanels, chooseLayout };
