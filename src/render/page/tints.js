// Colours the pictures by a column: a frame around each picture, and a legend that also works as a filter.

const { count, element } = page.data;
const { tileSide, redraw } = page.view;
const { facets, toggle, facetFilters } = page.facets;
const { highlight } = page.highlight;
const { drawFrames } = page.marks;

/** Number of values with a colour of their own. Rarer values share one. */
const COLOURS = 18;
const OTHERS = "#8c8c8c";

/** The colour of the n-th value. Steps of the golden angle spread the hues, and similar hues differ in lightness. */
const colourOf = (n) => `hsl(${(n * 137.508) % 360} ${n % 2 ? 75 : 60}% ${[52, 36, 68][n % 3]}%)`;
/** The colour of a number by its share of the range, from blue through green to yellow. */
const shadeOf = (share) => `hsl(${250 - 195 * share} 70% ${35 + 22 * share}%)`;

/** The chosen column, and the colour of each picture by it (null for pictures without a value). */
const tint = { name: "", of: null };

function tintBy(name) {
  const facet = facets().find((other) => other.name === name);
  tint.name = facet ? name : "";
  tint.of = facet ? Array(count).fill(null) : null;
  if (facet?.numbers) {
    const range = facet.high - facet.low || 1;
    facet.numbers.forEach((number, i) => {
      if (!Number.isNaN(number)) tint.of[i] = shadeOf((number - facet.low) / range);
    });
  } else if (facet) {
    // Values come most frequent first, so a picture with several values gets the colour of the rarest one.
    facet.values.forEach((value, n) => {
      for (const i of facet.pictures.get(value)) tint.of[i] = n < COLOURS ? colourOf(n) : OTHERS;
    });
  }
  element("tint").value = tint.name;
  makeList(facet);
  redraw();
}

/** Fills the legend. For values each entry is a button that toggles the filter. */
function makeList(facet) {
  const entries = !facet
    ? []
    : facet.numbers
      ? [0, 0.5, 1].map((share) => [
          String(+(facet.low + share * (facet.high - facet.low)).toPrecision(4)),
          shadeOf(share),
        ])
      : facet.values.slice(0, COLOURS).map((value, n) => [value, colourOf(n)]);
  if (facet?.values?.length > COLOURS) entries.push([`${facet.values.length - COLOURS} others`, OTHERS]);
  const items = entries.map(([text, colour], n) => {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    const canChoose = facet.values && n < COLOURS;
    const name = document.createElement(canChoose ? "button" : "bdi");
    name.textContent = text;
    if (canChoose) {
      name.type = "button";
      name.dir = "auto";
      name.setAttribute("aria-pressed", String(facetFilters.get(facet.name)?.has(text) ?? false));
      name.addEventListener("click", () => {
        toggle(facet.name, text);
        name.setAttribute("aria-pressed", String(facetFilters.get(facet.name)?.has(text) ?? false));
      });
    }
    item.append(swatch, name);
    return item;
  });
  element("tint-list").replaceChildren(...items);
}

function makeTints() {
  const options = ["", ...facets().map(({ name }) => name)].map((name) => new Option(name || "nothing", name));
  element("tint").replaceChildren(...options);
  element("tint").addEventListener("change", (event) => tintBy(event.target.value));
  element("tints").hidden = options.length < 2;
}

function drawTints() {
  if (!tint.of) return;
  const { lit } = highlight;
  drawFrames(Math.max(2, tileSide() / 12), tint.of, (i) => (lit && !lit[i] ? null : tint.of[i]));
}

page.tints = { tint, tintBy, makeTints, drawTints };
