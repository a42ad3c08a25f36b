// Facets: filters by the columns of a table, with a list of repeated values or a range of numbers. A picture has to
// match one of the chosen values of a column, and it has to match all columns with a filter.

const { wall, count, chunk, bytesOf, eachPicture } = page.chunks;
const { element } = page.data;

/** Number of values of a column that are listed at first. */
const LISTED = 10;

let cachedFacets = null;

/**
 * The facets: each has its values with their pictures, most frequent first, or one number per picture (NaN if none).
 */
function facets() {
  cachedFacets ??= facetChunks().map((name) => {
    const { name: column, numbers: text, values: entries } = chunk(name);
    if (text) {
      const numbers = new Float64Array(bytesOf(text).buffer);
      const [low, high] = numbers.reduce(
        ([min, max], value) => (Number.isNaN(value) ? [min, max] : [Math.min(min, value), Math.max(max, value)]),
        [Infinity, -Infinity],
      );
      return { name: column, numbers, low, high };
    }
    const pictures = new Map();
    for (const [value, size, list] of entries) {
      const of = new Uint32Array(size);
      let n = 0;
      const bytes = bytesOf(list);
      eachPicture(bytes, 0, bytes.length, (i) => {
        of[n] = i;
        n += 1;
      });
      pictures.set(value, of);
    }
    return { name: column, values: [...pictures.keys()], pictures };
  });
  return cachedFacets;
}

const facetChunks = () => Array.from({ length: wall.facets }, (_, k) => `facets-${k}`);

/** The filter of each column that has one: a set of values, or [from, to]. */
const facetFilters = new Map();
let changed = () => {};

const matchesOf = new WeakMap();

/** For each picture, whether it has one of these values. Cached by the set of values, which is never changed. */
function oneOf(facet, values) {
  if (!matchesOf.has(values)) {
    const has = new Uint8Array(count);
    for (const value of values) for (const i of facet.pictures.get(value) ?? []) has[i] = 1;
    matchesOf.set(values, has);
  }
  return matchesOf.get(values);
}

/** Whether a picture passes the filters of all columns except `except`. */
function passesFilters(i, except = null) {
  for (const [name, filter] of facetFilters) {
    if (name === except) continue;
    const facet = facets().find((other) => other.name === name);
    if (!facet) continue;
    if (facet.numbers) {
      if (!(facet.numbers[i] >= filter[0] && facet.numbers[i] <= filter[1])) return false;
    } else if (!oneOf(facet, filter)[i]) return false;
  }
  return true;
}

/** Sets the filter of a column; null or an empty set removes it. */
function setFilter(name, filter) {
  const empty = !filter || filter.size === 0;
  if (empty) facetFilters.delete(name);
  else facetFilters.set(name, filter);
  changed();
}

function toggle(name, value) {
  const values = new Set(facetFilters.get(name) ?? []);
  if (!values.delete(value)) values.add(value);
  setFilter(name, values);
}

/**
 * Functions that update the number of results each value would leave. `fits` is the rest of the query, without facets.
 */
const countUpdaters = [];
function updateCounts(fits) {
  for (const updateCount of countUpdaters) updateCount(fits);
}

function makeFacets(onChange) {
  changed = onChange;
  const made = facets().map((facet) => {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.dir = "auto";
    summary.textContent = facet.name;
    details.append(summary, facet.numbers ? rangeOf(facet) : listOf(facet));
    return details;
  });
  if (made.length > 0 && made.length < 3) for (const details of made) details.open = true;
  element("facets").hidden = made.length === 0;
  element("facets-list").replaceChildren(...made);
}

function listOf(facet) {
  const list = document.createElement("div");
  const rows = facet.values.map((value, n) => {
    const label = document.createElement("label");
    const check = document.createElement("input");
    check.type = "checkbox";
    check.addEventListener("change", () => toggle(facet.name, value));
    const [text, number] = [document.createElement("bdi"), document.createElement("span")];
    text.textContent = value;
    number.className = "number";
    label.append(check, text, number);
    label.hidden = n >= LISTED;
    return { label, check, number, value };
  });
  list.append(...rows.map(({ label }) => label));
  if (rows.length > LISTED) {
    const showAll = document.createElement("button");
    showAll.type = "button";
    showAll.textContent = `Show all ${rows.length}`;
    showAll.addEventListener("click", () => {
      for (const { label } of rows) label.hidden = false;
      showAll.remove();
    });
    list.append(showAll);
  }
  countUpdaters.push((fits) => {
    const wouldMatch = (i) => fits(i) && passesFilters(i, facet.name);
    for (const { check, number, value } of rows) {
      check.checked = facetFilters.get(facet.name)?.has(value) ?? false;
      let sum = 0;
      for (const i of facet.pictures.get(value)) sum += wouldMatch(i) ? 1 : 0;
      number.textContent = sum.toLocaleString("en");
    }
  });
  return list;
}

function rangeOf(facet) {
  const range = document.createElement("div");
  range.className = "between";
  const inputs = [facet.low, facet.high].map((bound, end) => {
    const input = document.createElement("input");
    input.type = "number";
    [input.min, input.max, input.placeholder] = [facet.low, facet.high, bound];
    input.setAttribute("aria-label", `${facet.name}, ${end === 0 ? "from" : "to"}`);
    input.step = "any";
    input.addEventListener("change", () => {
      const value = ({ value: text }, other) => (text === "" ? other : Number(text));
      const filter = [value(inputs[0], facet.low), value(inputs[1], facet.high)];
      setFilter(facet.name, filter[0] <= facet.low && filter[1] >= facet.high ? null : filter);
    });
    return input;
  });
  range.append(inputs[0], "–", inputs[1]);
  countUpdaters.push(() => {
    const filter = facetFilters.get(facet.name);
    inputs.forEach((input, end) => {
      if (document.activeElement !== input) input.value = filter ? filter[end] : "";
    });
  });
  return range;
}

/** The filters as key-value pairs for the address. */
function filtersToPairs() {
  return [...facetFilters].flatMap(([name, filter]) =>
    Array.isArray(filter)
      ? [[`between.${name}`, filter.join("..")]]
      : [...filter].map((value) => [`is.${name}`, value]),
  );
}

/** Sets the filters from the key-value pairs of the address. Unknown columns and values are ignored. */
function filtersFromPairs(pairs) {
  facetFilters.clear();
  for (const [key, value] of pairs) {
    const facet = facets().find(({ name }) => key === `is.${name}` || key === `between.${name}`);
    if (!facet) continue;
    if (facet.numbers) {
      const filter = value.split("..").map(Number);
      if (filter.length === 2 && filter.every(Number.isFinite)) facetFilters.set(facet.name, filter);
    } else if (facet.pictures.has(value)) {
      facetFilters.set(facet.name, new Set(facetFilters.get(facet.name)).add(value));
    }
  }
}

page.facets = {
  facets,
  facetChunks,
  facetFilters,
  passesFilters,
  toggle,
  updateCounts,
  makeFacets,
  filtersToPairs,
  filtersFromPairs,
};
