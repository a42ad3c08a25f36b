// What the columns of a table tell pictures apart by: values that repeat are chosen from a list, numbers by a range. Within a
// column any of the values will do; of several columns all have to fit.

const { block, count, element } = page.data;

/** A column with more values than this tells nothing apart; and so many values of one are listed at first. */
const [MOST_VALUES, LISTED] = [500, 10];
/** A column is numbers if all that is in it is one, and there are more of them than this. */
const FEW_NUMBERS = 8;

let columns = null;

/** The columns that pictures can be chosen by: of each its values with their pictures, or its numbers. */
function facets() {
  if (columns) return columns;
  const all = new Map();
  (block("texts").fields ?? []).forEach((fields, i) => {
    for (const [name, ...values] of fields) {
      if (!all.has(name)) all.set(name, { name, of: Array.from({ length: count }, () => []) });
      all.get(name).of[i].push(...values);
    }
  });
  columns = [...all.values()].flatMap(({ name, of }) => {
    const pictures = new Map();
    of.forEach((values, i) => {
      for (const value of values) pictures.set(value, (pictures.get(value) ?? new Set()).add(i));
    });
    const distinct = [...pictures.keys()];
    const isNumeric = distinct.length > FEW_NUMBERS && distinct.every((value) => /^[-+]?\d+([.,]\d+)?$/.test(value));
    if (isNumeric) {
      const numbers = of.map(([value]) => (value === undefined ? Number.NaN : Number(value.replace(",", "."))));
      const known = numbers.filter((number) => !Number.isNaN(number));
      const [low, high] = known.reduce(([l, h], v) => [Math.min(l, v), Math.max(h, v)], [Infinity, -Infinity]);
      return [{ name, numbers, low, high }];
    }
    const tellsApart = distinct.length > 1 && distinct.length <= MOST_VALUES && distinct.length < count;
    const repeats = [...pictures.values()].some((set) => set.size > 1);
    if (!tellsApart || !repeats) return [];
    const values = distinct.sort((a, b) => pictures.get(b).size - pictures.get(a).size || (a < b ? -1 : 1));
    return [{ name, values, pictures }];
  });
  return columns;
}

/** What is asked of each column: a set of values, or [from, to]. */
const asked = new Map();
let changed = () => {};

/** Whether a picture is what all columns but `except` are asked for. */
function suits(i, except = null) {
  for (const [name, what] of asked) {
    if (name === except) continue;
    const facet = facets().find((other) => other.name === name);
    if (!facet) continue;
    if (facet.numbers) {
      if (!(facet.numbers[i] >= what[0] && facet.numbers[i] <= what[1])) return false;
    } else if (![...what].some((value) => facet.pictures.get(value)?.has(i))) return false;
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
      asked.set(facet.name, (asked.get(facet.name) ?? new Set()).add(value));
    }
  }
}

page.facets = { facets, asked, suits, toggle, tell, makeFacets, written, read };
