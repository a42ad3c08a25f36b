// The data come in tiles: blocks of this page, or, where there are many pictures, files beside it. Such a file is a script, as
// a page from the disk can load nothing else; it hands its tile over as a text.

const wall = JSON.parse(document.getElementById("data-wall").textContent);
const count = wall.count;

const tiles = new Map();
/** Tiles that are on their way. */
const coming = new Map();

// What a script is loaded from is a name of ours and nothing else.
const NAME = /^[a-z]+-\d+$/;
const address = (name) => `${wall.folder}/${NAME.exec(name)[0]}.js`;
const trusted = wall.folder && window.trustedTypes?.createPolicy("tiles", { createScriptURL: address });

/** Called by the files. */
function take(name, text) {
  tiles.set(name, JSON.parse(text));
}

/** A tile, or null if it is not there (yet). */
function tile(name) {
  if (!tiles.has(name)) {
    const inside = document.getElementById(`data-${name}`);
    if (inside) take(name, inside.textContent);
  }
  return tiles.get(name) ?? null;
}

function load(name) {
  if (!coming.has(name)) {
    const script = document.createElement("script");
    const end = new Promise((done) => {
      script.addEventListener("load", done);
      // What is lost stays lost: nothing is known of these pictures.
      script.addEventListener("error", () => done(tiles.set(name, null)));
    });
    script.src = trusted ? trusted.createScriptURL(name) : address(name);
    document.head.append(script);
    coming.set(
      name,
      end.then(() => script.remove()),
    );
  }
  return coming.get(name);
}

/** Calls `then` once these tiles are there: at once if they are. */
function withTiles(names, then) {
  const lacking = names.filter((name) => tile(name) === null && !tiles.has(name));
  if (lacking.length === 0 || !wall.folder) then();
  else Promise.all(lacking.map(load)).then(then);
}

/** The bytes that a text in base64 stands for. */
function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Reads numbers of seven bits a byte, one after the other: `next` gives one, `at` says where the following one begins. */
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

/** Calls `each` for the pictures of a list, which has the differences of their numbers; and with the reader. */
function eachPicture(bytes, from, to, each) {
  const numbers = reader(bytes, from);
  let last = -1;
  while (numbers.at < to) {
    last += numbers.next() + 1;
    each(last, numbers);
  }
}

page.tiles = { wall, count, take, tile, withTiles, bytesOf, reader, eachPicture };
