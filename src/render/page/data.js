// What the page was written with. A block is parsed when it is first asked for; all but "wall" stand
// behind this script and are there once the document is.

const parsed = new Map();

function block(name) {
  if (!parsed.has(name)) parsed.set(name, JSON.parse(document.getElementById(`data-${name}`).textContent));
  return parsed.get(name);
}

const wall = block("wall");
const count = wall.cells.length;

const element = (id) => document.getElementById(id);
const columnOf = (i) => wall.cells[i] % wall.columns;
const rowOf = (i) => Math.floor(wall.cells[i] / wall.columns);

// The picture in each cell, or -1.
const inCell = new Int32Array(wall.columns * wall.rows).fill(-1);
wall.cells.forEach((cell, i) => {
  inCell[cell] = i;
});

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeZone: "UTC" });
const yearFormat = new Intl.DateTimeFormat(undefined, { year: "numeric", timeZone: "UTC" });
const monthFormat = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric", timeZone: "UTC" });

/** The pictures that share a cell with one, the best first: name, path and link of each. */
const behind = (i) => block("facts").behind?.[i] ?? [];

/** The facts of a picture in one line: when, what kind, where in its post. */
function factsOf(i) {
  const { time, vague, kinds, kind, post, order, legend } = block("facts");
  const facts = [];
  const format = [dayFormat, monthFormat, yearFormat][vague ? vague[i] : 0];
  if (time[i] !== null) facts.push(format.format(1000 * time[i]));
  // Of a file there is nothing more to say.
  if (kinds[kind[i]] && kinds[kind[i]] !== "file") facts.push(kinds[kind[i]]);
  if (post[i] !== null) {
    const size = post.reduce((sum, other) => sum + (other === post[i]), 0);
    if (size > 1) facts.push(`${order[i] + 1} of ${size} in its post`);
  }
  if (legend && legend.of[i] !== null) {
    facts.push(`${legend.column} ${legend.numeric ? legend.of[i] : legend.entries[legend.of[i]][0]}`);
  }
  if (behind(i).length) facts.push(`${behind(i).length + 1} pictures in one`);
  return facts.join(" · ");
}

/** What a picture is called: its caption, or else the last part of its path. */
function nameOf(i) {
  const { caption, path } = block("texts");
  return caption[i] || path[i].split("/").pop() || `Picture ${i + 1}`;
}

/** What else a table says of a picture, a line each. */
function fieldsOf(i) {
  const { fields } = block("texts");
  return fields ? fields[i].map(([name, ...values]) => `${name}: ${values.join(", ")}`).join("\n") : "";
}

/** What the model says a picture shows, the likeliest first. */
function wordsOf(i) {
  const { names, of } = block("words");
  const known = [...(of[i] ?? [])].sort((a, b) => b[1] - a[1]);
  return known.map(([name, percent]) => `${names[name]} ${percent} %`).join(" · ");
}

let settled = false;
/** Whether all data are there and the view is the one of the address. */
const isSettled = () => settled;
const settle = () => {
  settled = true;
};

// biome-ignore format: a name a line is too long a list
page.data = {
  block, wall, count, element, columnOf, rowOf, inCell, stillness, dayFormat, monthFormat, factsOf, fieldsOf, wordsOf, nameOf,
  behind, isSettled, settle,
};
