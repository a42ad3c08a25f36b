// The data come in chunks: blocks inside this page or, if there are many pictures, separate files. Such a file is a
// script, because a page opened from disk can load nothing else. It passes its chunk as a text.

const wall = JSON.parse(document.getElementById("data-wall").textContent);
const count = wall.count;

const chunks = new Map();
/** The promises of the chunks that are being loaded. */
const pending = new Map();

// Scripts are only loaded from addresses that are made of a valid chunk name.
const NAME = /^[a-z]+-\d+$/;
const address = (name) => `${wall.folder}/${NAME.exec(name)[0]}.js`;
const trusted = wall.folder && window.trustedTypes?.createPolicy("tiles", { createScriptURL: address });

/** Stores a chunk; each file of data calls this. */
function take(name, text) {
  chunks.set(name, JSON.parse(text));
}

/** A chunk, or null if it is not loaded. */
function chunk(name) {
  if (!chunks.has(name)) {
    const inside = document.getElementById(`data-${name}`);
    if (inside) take(name, inside.textContent);
  }
  return chunks.get(name) ?? null;
}

function load(name) {
  if (!pending.has(name)) {
    const script = document.createElement("script");
    const ended = new Promise((done) => {
      script.addEventListener("load", done);
      // A missing file is not requested again: its pictures are shown without metadata.
      script.addEventListener("error", () => done(chunks.set(name, null)));
    });
    script.src = trusted ? trusted.createScriptURL(name) : address(name);
    document.head.append(script);
    pending.set(
      name,
      ended.then(() => script.remove()),
    );
  }
  return pending.get(name);
}

/** Calls `then` once these chunks are loaded; synchronously if they are loaded already. */
function withChunks(names, then) {
  const missing = names.filter((name) => chunk(name) === null && !chunks.has(name));
  if (missing.length === 0 || !wall.folder) then();
  else Promise.all(missing.map(load)).then(then);
}

/** Decodes base64. */
function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** A reader of LEB128 numbers (seven bits per byte): `next` returns one, `at` is the index of the byte after it. */
function reader(bytes, at) {
  return {
    at,
    next() {
      let [number, shift] = [0, 1];
      for (; bytes[this.at] > 127; this.at += 1, shift *= 128) number += (bytes[this.at] & 127) * shift;
      number += bytes[this.at] * shift;
      this.at += 1;
      return number;
    },
  };
}

/** Calls `each` with every picture of a list of gaps, and with the reader, for bytes that follow each picture. */
function eachPicture(bytes, from, to, each) {
  const numbers = reader(bytes, from);
  let last = -1;
  while (numbers.at < to) {
    last += numbers.next() + 1;
    each(last, numbers);
  }
}

page.chunks = { wall, count, take, chunk, withChunks, bytesOf, reader, eachPicture };
