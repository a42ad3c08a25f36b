// What there is to say of single pictures: read when one is looked at.

const { wall, tile, withTiles } = page.tiles;
const { columns, timeOf, kindOf } = page.data;

const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeZone: "UTC" });
const yearFormat = new Intl.DateTimeFormat(undefined, { year: "numeric", timeZone: "UTC" });
const monthFormat = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric", timeZone: "UTC" });

const tileOf = (i) => `rows-${Math.floor(i / wall.perRows)}`;

/**
 * What is known of a picture: fields as their names with their values; what is behind it as names, paths and links; words
 * with percents; its post as its place in it and all its pictures. `vague` is 1 where of its time the month is known, 2 the year.
 */
function row(i) {
  const known = tile(tileOf(i))?.[i % wall.perRows] ?? [];
  const [path = "", caption = "", size = null, link = "", nearest = [], vague = 0] = known;
  const [post, fields = [], behind = [], words = []] = known.slice(6);
  return { path, caption, size, link, nearest, vague, post: post ?? null, fields, behind, words };
}

/** Calls `then` once the rows of these pictures are there: at once if they are. */
function withRows(pictures, then) {
  withTiles([...new Set(pictures.map(tileOf))], then);
}

/** The facts of a picture in one line: when, what kind, where in its post. */
function factsOf(i) {
  const { vague, post } = row(i);
  const { legend } = wall;
  const facts = [];
  const format = [dayFormat, monthFormat, yearFormat][vague];
  if (!Number.isNaN(timeOf(i))) facts.push(format.format(1000 * timeOf(i)));
  // Of a file there is nothing more to say.
  if (kindOf(i) && kindOf(i) !== "file") facts.push(kindOf(i));
  if (post) facts.push(`${post[0] + 1} of ${post[1].length} in its post`);
  const of = columns.legend?.[i] ?? Number.NaN;
  if (legend && !Number.isNaN(of)) facts.push(`${legend.column} ${legend.numeric ? of : legend.entries[of][0]}`);
  if (columns.folded?.[i]) facts.push(`${columns.folded[i] + 1} pictures in one`);
  return facts.join(" · ");
}

/** What a picture is called: its caption, or else the last part of its path. */
function nameOf(i) {
  const { caption, path } = row(i);
  return caption || path.split("/").pop() || `Picture ${i + 1}`;
}

/** What else a table says of a picture, a line each. */
const fieldsOf = (i) =>
  row(i)
    .fields.map(([name, ...values]) => `${name}: ${values.join(", ")}`)
    .join("\n");

/** What the model says a picture shows, the likeliest first. */
function wordsOf(i) {
  const known = [...row(i).words].sort((a, b) => b[1] - a[1]);
  return known.map(([word, percent]) => `${word} ${percent} %`).join(" · ");
}

page.rows = { row, withRows, factsOf, nameOf, fieldsOf, wordsOf, dayFormat, monthFormat };
