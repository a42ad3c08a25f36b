// What the columns of a table tell pictures apart by: values that repeat are chosen from a list, numbers by a range. Within a
// column any of the values will do; of several columns all have to fit.

const { wall, count, tile, bytesOf, eachPicture } = page.tiles;
const { element } = page.data;

/** So many values of a column are listed at first. */
const LISTED = 10;

let known = null;

/** The columns that pictures can be chosen by: of each its values with their pictures, or its numbers (NaN where there is none). */
function facets() {
  known ??= facetTiles().map((name) => {
    const { name: column, numbers: text, values: all } = tile(name);
    if (text) {
      const numbers = new Float64Array(bytesOf(text).buffer);
      const [low, high] = numbers.reduce(
        ([l, h], v) => (Number.isNaN(v) ? [l, h] : [Math.min(l, v), Math.max(h, v)]),
        [Infinity, -Infinity],
      );
      return { name: column, numbers, low, high };
    }
    const pictures = new Map();
    for (const [value, size, list] of all) {
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
  return known;
}

const facetTiles = () => Array.from({ length: wall.facets }, (_, k) => `facets-${k}`);

/** What is asked of each column: a set of values, or [from, to]. */
const asked = new Map();
let changed = () => {};

const chosen = new WeakMap();

/** For each picture whether it has one of some values of a column; made once for a set of values, which never changes. */
function oneOf(facet, values) {
  if (!chosen.has(values)) {
    const has = new Uint8Array(count);
    for (const value of values) for (const i of facet.pictures.get(value) ?? []) has[i] = 1;
    chosen.set(values, has);
  }
  return chosen.get(values);
}

/** Whether a picture is what all columns but `except` are asked for. */
function suits(i, except = null) {
  for (const [name, what] of asked) {
    if (name === except) continue;
    const facet = facets().find((other) => other.name === name);
    if (!facet) continue;
    if (facet.numbers) {
      if (!(facet.numbers[i] >= what[0] && facet.numbers[i] <= what[1])) return false;
    } else if (!oneOf(facet, what)[i]) return false;
  }
  return true;
}

/** Asks a column for these values, or for anything again. */
function ask(name, what) {
  const empty = !what || what.size === 0;
  if (empty) asked.delete(name);
  else asked.set(name, what);
  changed();
}

function toggle(name, value) {
  const values = new Set(asked.get(name) ?? []);
  if (!values.delete(value)) values.add(value);
  ask(name, values);
}

/** Says how many pictures each value would leave, beside what else is asked; `fits` is that without columns. */
const tellers = [];
function tell(fits) {
  for (const teller of tellers) teller(fits);
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
    const more = document.createElement("button");
    more.type = "button";
    more.textContent = `All ${rows.length}`;
    more.addEventListener("click", () => {
      for (const { label } of rows) label.hidden = false;
      more.remove();
    });
    list.append(more);
  }
  tellers.push((fits) => {
    const left = (i) => fits(i) && suits(i, facet.name);
    for (const { check, number, value } of rows) {
      check.checked = asked.get(facet.name)?.has(value) ?? false;
      let sum = 0;
      for (const i of facet.pictures.get(value)) sum += left(i) ? 1 : 0;
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
      const what = [value(inputs[0], facet.low), value(inputs[1], facet.high)];
      ask(facet.name, what[0] <= facet.low && what[1] >= facet.high ? null : what);
    });
    return input;
  });
  range.append(inputs[0], "–", inputs[1]);
  tellers.push(() => {
    const what = asked.get(facet.name);
    inputs.forEach((input, end) => {
      if (document.activeElement !== input) input.value = what ? what[end] : "";
    });
  });
  return range;
}

/** For the address: what is asked, as pairs of a key and a value; and the same read again. */
function written() {
  return [...asked].flatMap(([name, what]) =>
    Array.isArray(what) ? [[`between.${name}`, what.join("..")]] : [...what].map((value) => [`is.${name}`, value]),
  );
}

function read(pairs) {
  asked.clear();
  for (const [key, value] of pairs) {
    const facet = facets().find(({ name }) => key === `is.${name}` || key === `between.${name}`);
    if (!facet) continue;
    if (facet.numbers) {
      const what = value.split("..").map(Number);
      if (what.length === 2 && what.every(Number.isFinite)) asked.set(facet.name, what);
    } else if (facet.pictures.has(value)) {
      asked.set(facet.name, new Set(asked.get(facet.name)).add(value));
    }
  }
}

page.facets = { facets, facetTiles, asked, suits, toggle, tell, makeFacets, written, read };
