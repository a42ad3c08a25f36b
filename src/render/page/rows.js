// The metadata of single pictures, loaded when they are needed.

const { wall, chunk, withChunks } = page.chunks;
const { columns, timeOf, kindOf } = page.data;

const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeZone: "UTC" });
const yearFormat = new Intl.DateTimeFormat(undefined, { year: "numeric", timeZone: "UTC" });
const monthFormat = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric", timeZone: "UTC" });

const chunkOf = (i) => `rows-${Math.floor(i / wall.perRows)}`;

/**
 * The metadata of a picture. `fields` are names with their values; `behind` are name, path and link of each picture
 * behind it; `words` come with percentages; `post` is its index in the post and all pictures of the post. `vague` is 1
 * if its time is only known to the month, 2 if only to the year.
 */
function row(i) {
  const values = chunk(chunkOf(i))?.[i % wall.perRows] ?? [];
  const [path = "", caption = "", size = null, link = "", nearest = [], vague = 0] = values;
  const [post, fields = [], behind = [], words = []] = values.slice(6);
  return { path, caption, size, link, nearest, vague, post: post ?? null, fields, behind, words };
}

/** Calls `then` once the rows of these pictures are loaded; synchronously if they are loaded already. */
function withRows(pictures, then) {
  withChunks([...new Set(pictures.map(chunkOf))], then);
}

/** The main facts of a picture in one line: date, kind, position in its post, legend value, size of its stack. */
function factsOf(i) {
  const { vague, post } = row(i);
  const { legend } = wall;
  const facts = [];
  const format = [dayFormat, monthFormat, yearFormat][vague];
  if (!Number.isNaN(timeOf(i))) facts.push(format.format(1000 * timeOf(i)));
  // The kind "file" is not worth showing.
  if (kindOf(i) && kindOf(i) !== "file") facts.push(kindOf(i));
  if (post) facts.push(`${post[0] + 1} of ${post[1].length} in its post`);
  const value = columns.legend?.[i] ?? Number.NaN;
  if (legend && !Number.isNaN(value))
    facts.push(`${legend.column} ${legend.numeric ? value : legend.entries[value][0]}`);
  if (columns.folded?.[i]) facts.push(`${columns.folded[i] + 1} pictures in one cell`);
  return facts.join(" · ");
}

/** The title of a picture: its caption, the last part of its path, or its number. */
function nameOf(i) {
  const { caption, path } = row(i);
  return caption || path.split("/").pop() || `Picture ${i + 1}`;
}

/** The fields of a picture, one per line. */
const fieldsOf = (i) =>
  row(i)
    .fields.map(([name, ...values]) => `${name}: ${values.join(", ")}`)
    .join("\n");

/** The words that the model has for a picture, the most probable first. */
function wordsOf(i) {
  const sorted = [...row(i).words].sort((a, b) => b[1] - a[1]);
  return sorted.map(([word, percent]) => `${word} ${percent} %`).join(" · ");
}

page.rows = { row, withRows, factsOf, nameOf, fieldsOf, wordsOf, dayFormat, monthFormat };
