// The panels Filter and View.

const { wall, element, columns } = page.data;
const { canvas, redraw, windowWidth, switchTo, replay } = page.view;
const { setOverlay } = page.highlight;
const { hideCard } = page.card;
const { makeGroups } = page.groups;
const { filtersFromPairs } = page.facets;
const { updateQuery, runSearch, searchAndZoom, makeSearch } = page.search;
const { makeTimeSlider, setTimeRange } = page.periods;
const { makeTints } = page.tints;
const { makeSelection } = page.selection;

/**
 * Sets the whole query and its controls. `pairs` are the keys and values of the address, which include facet filters.
 */
function setQuery({ text = "", kinds = null, from = null, to = null, only = null, pairs = [] }) {
  updateQuery({ text, from, to, kinds: kinds && new Set(kinds), only: only && new Set(only) });
  element("search").value = text;
  for (const check of element("kinds").querySelectorAll("input")) check.checked = !kinds || kinds.includes(check.value);
  setTimeRange(from, to);
  filtersFromPairs(pairs);
  runSearch();
}

element("reset").addEventListener("click", () => {
  setQuery({});
});

// At most one panel is open.
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
// A press on the grid while a panel is open closes the panel and does nothing else.
document.addEventListener(
  "pointerdown",
  (event) => {
    if (event.target !== canvas || panels.every(({ panel }) => panel.hidden)) return;
    event.stopPropagation();
    openPanel(null);
  },
  { capture: true },
);
/** Closes the open panel and returns the focus to its button. Returns whether a panel was open. */
const closePanels = () => {
  const open = panels.find(({ panel }) => !panel.hidden);
  openPanel(null);
  open?.button.focus();
  return Boolean(open);
};

/** Fills the panels, and hides the controls that these pictures have no data for. */
function makePanels() {
  const newCount = columns.fresh?.reduce((sum, one) => sum + one, 0) ?? 0;
  makeSearch();
  makeKinds();
  makeTimeSlider();
  makeLegend();
  makeTints();
  makeSelection((only) => {
    updateQuery({ only: new Set(only) });
    searchAndZoom();
  });
  element("seams-label").hidden = !wall.hasCells || !columns.right;
  element("new-label").hidden = newCount === 0;
  element("grew").hidden = !wall.hasCells || !wall.before;
  element("grew").addEventListener("click", () => {
    chooseLayout("grid");
    replay();
  });
  element("new-text").textContent = `Outline new pictures (${newCount.toLocaleString("en")})`;
  makeGroups();
  element("shows").hidden = ["seams-label", "new-label", "groups-label", "grew"].every((id) => element(id).hidden);
  for (const [overlay, id] of [
    ["seams", "seams"],
    ["new", "new"],
    ["groups", "groups-shown"],
  ]) {
    element(id).addEventListener("change", (event) => setOverlay(overlay, event.target.checked));
  }
  const hideIfEmpty = (button, parts) => {
    element(button).hidden = parts.every((id) => element(id).hidden);
  };
  hideIfEmpty("more", ["kinds", "times", "facets"]);
  hideIfEmpty("look", ["shows", "groups", "legend", "tints"]);
}

/** Makes a checkbox for each kind. If all are checked there is no filter, so pictures without a kind are shown too. */
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
      updateQuery({ kinds: on.length === named.length ? null : new Set(on) });
      searchAndZoom();
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
  // Colours need their legend, so the panel opens at once if the window has room for it.
  if (windowWidth() > 760) openPanel(element("looks"));
}

/** Switches the layout and updates the radio group, in which only the checked button is in the tab order. */
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

page.controls = { setQuery, makePanels, closePanels, chooseLayout };
