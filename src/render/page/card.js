// A picture looked at: the card beside the pointer, and the box with the larger picture.

const { wall, count, element, columnOf, rowOf, fileName, isSettled } = page.data;
const { row, withRows, factsOf, fieldsOf, wordsOf, nameOf } = page.rows;
const { canvas, layout, redraw, windowWidth, windowHeight, pictureAt, reveal } = page.view;
const { levelFor, found, findTile, whenLoaded, stopWaiting } = page.sheets;
const { picked, mark, choose } = page.picked;
const { swipes, lieStill } = page.fingers;
const { groupsOf } = page.groups;

const card = element("card");
const box = element("box");
/** Why a picture was found, and which of its files was: the one in front is 0. The search says. */
const why = { of: () => "", file: () => 0 };
/** The picture that is pointed at, and the one that is to be opened, while what is known of them is on its way. */
const meant = { pointed: -1, opened: -1 };

function hover(px, py) {
  if (!isSettled()) return;
  const i = pictureAt(px, py);
  canvas.classList.toggle("over", i >= 0);
  if (i < 0) hideCard();
  else showCard(i, px, py);
}

function showCard(i, px, py) {
  meant.pointed = i;
  withRows([i], () => meant.pointed === i && fillCard(i, px, py));
}

function fillCard(i, px, py) {
  element("card-caption").textContent = row(i).caption;
  element("card-facts").textContent = factsOf(i) || nameOf(i);
  element("card-fields").textContent = fieldsOf(i);
  card.hidden = false;
  const beside = (at, size, room) => (at + 18 + size < room ? at + 18 : Math.max(8, at - 18 - size));
  const x = beside(px, card.offsetWidth, windowWidth());
  const y = beside(py, card.offsetHeight, windowHeight());
  card.style.transform = `translate(${x}px, ${y}px)`;
}

function hideCard() {
  meant.pointed = -1;
  card.hidden = true;
  canvas.classList.remove("over");
}

function tapped(px, py) {
  if (!isSettled()) return;
  const i = pictureAt(px, py);
  if (i < 0) {
    mark(-1);
    hideCard();
    return;
  }
  open(i);
}

function open(i) {
  meant.opened = i;
  withRows([i], () => meant.opened === i && openNow(i));
}

function openNow(i) {
  choose(i);
  hideCard();
  fillBox(i);
  if (!box.open) {
    box.showModal();
    // The way back leads out of the box first, and not off the page.
    history.pushState({ box: true }, "");
    entry.open = true;
  }
  // The tile that was pressed is gone with its strip; keys go on in the box.
  else if (!box.contains(document.activeElement)) box.focus();
}

function fillBox(i) {
  const { caption, path, link, behind, post, nearest } = row(i);
  element("box-caption").textContent = caption;
  element("box-why").textContent = why.of(i);
  box.setAttribute("aria-label", nameOf(i));
  stopWaiting();
  const files = [[fileName(i), path, link], ...(wall.large ? behind : [])];
  const shown = Math.min(why.file(i), files.length - 1);
  showFile(files[shown], i);
  fillBehind(files, i, shown);
  fillStrip("siblings", post?.[1] ?? [], i);
  fillStrip("alike", nearest, i);
}

/** What is known of a picture, a row each: what it is and what it says. */
function fillFacts(i, path) {
  const { fields, size } = row(i);
  const folders = path.split("/").slice(0, -1).join(" / ");
  const rows = [
    ["", factsOf(i)],
    ...fields.map(([name, ...values]) => [name, values.join(", ")]),
    ["shows", wordsOf(i)],
    ["group", groupsOf(i).join(" › ")],
    ["place", wall.hasCells ? `row ${rowOf(i) + 1}, column ${columnOf(i) + 1}` : ""],
    ["pixels", size ? `${size[0]} × ${size[1]}` : ""],
    ["folder", folders],
    ["file", path.split("/").pop()],
  ];
  const made = rows
    .filter(([, text]) => text)
    .flatMap(([name, text]) => {
      const [term, said] = [document.createElement("dt"), document.createElement("dd")];
      [term.dir, said.dir] = ["auto", "auto"];
      term.textContent = name;
      said.append(linked(text));
      return [term, said];
    });
  element("box-facts").replaceChildren(...made);
}

/** An address of the web as a link, anything else as the text that it is. */
function linked(text) {
  if (!/^https?:\/\/[^\s"<>]+$/i.test(text) || !URL.canParse(text)) return document.createTextNode(text);
  const anchor = document.createElement("a");
  [anchor.href, anchor.textContent, anchor.target, anchor.rel] = [text, text, "_blank", "noopener noreferrer"];
  return anchor;
}

/** A file of a picture, the one in front or one behind it, with its path and its link. */
function showFile([name, path, link], i) {
  fillFacts(i, path);
  const original = element("box-link");
  original.hidden = link === "";
  if (link) original.href = link;
  else original.removeAttribute("href");
  const large = largeOf(name, i);
  element("frame").replaceChildren(large);
  lieStill();
  if (link && SHOWN.test(link)) sharpen(large, link);
}

/** Kinds of files that every browser shows. */
const SHOWN = /\.(jpe?g|png|webp|gif|bmp)$/i;

/** Puts the original in the place of a picture that has fewer pixels than its frame, once it is there; if it is. */
async function sharpen(shown, link) {
  const original = new Image();
  original.alt = shown.alt ?? "";
  try {
    if (shown instanceof Image) await shown.decode();
    const { clientWidth, clientHeight } = element("frame");
    if (shown.naturalWidth >= clientWidth * devicePixelRatio || shown.naturalHeight >= clientHeight * devicePixelRatio)
      return;
    original.src = link;
    await original.decode();
  } catch {
    return;
  }
  if (shown.parentElement !== element("frame") || original.naturalWidth <= (shown.naturalWidth || shown.width)) return;
  original.style.transform = shown.style.transform;
  shown.replaceWith(original);
}

/** The larger picture; without one, the tile. */
function largeOf(name, i) {
  if (!wall.large) return tileOf(i, 128);
  const image = new Image();
  image.alt = nameOf(i);
  image.src = `${wall.large}/${name}.jpg`;
  image.addEventListener("error", () => image.replaceWith(tileOf(i, 128)));
  return image;
}

/** The files that share a cell, to be looked at one after the other. */
function fillBehind(files, i, shown) {
  const section = element("behind");
  section.hidden = files.length < 2;
  const buttons = files.map((file, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", file[1]);
    if (number === shown) button.setAttribute("aria-current", "true");
    button.append(largeOf(file[0], i));
    button.addEventListener("click", () => {
      for (const other of buttons) other.removeAttribute("aria-current");
      button.setAttribute("aria-current", "true");
      showFile(file, i);
    });
    return button;
  });
  section.querySelector(".strip").replaceChildren(...(section.hidden ? [] : buttons));
}

/** A tile as an element of its own, drawn as soon as its sheet is there. */
function tileOf(i, side) {
  const tile = document.createElement("canvas");
  tile.width = side;
  tile.height = side;
  const level = levelFor(side);
  const drawIt = () => {
    findTile(i, level);
    if (found.bitmap) {
      tile.getContext("2d").drawImage(found.bitmap, found.x, found.y, found.side, found.side, 0, 0, side, side);
    }
    return found.side === wall.levels[level].side && found.bitmap !== null;
  };
  if (!drawIt()) whenLoaded(drawIt);
  // What is lacking is asked for after the next frame.
  redraw();
  return tile;
}

function fillStrip(id, pictures, current) {
  const section = element(id);
  section.hidden = pictures.length === 0;
  withRows(pictures, () => picked.chosen === current && fillWith(section, pictures, current));
}

function fillWith(section, pictures, current) {
  const buttons = pictures.map((i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", nameOf(i));
    if (i === current) button.setAttribute("aria-current", "true");
    button.append(tileOf(i, 104));
    button.addEventListener("click", () => open(i));
    return button;
  });
  section.querySelector(".strip").replaceChildren(...buttons);
}

element("close").addEventListener("click", () => box.close());
element("previous").addEventListener("click", () => step(-1));
element("next").addEventListener("click", () => step(1));
box.addEventListener("click", (event) => {
  // Beside the box is the box itself: its content covers it.
  if (event.target === box) box.close();
});
/** Milliseconds that the slide show stays on a picture. */
const SLIDE = 4000;
let slides = 0;
function setSlides(on) {
  clearInterval(slides);
  slides = on ? setInterval(() => step(1), SLIDE) : 0;
  element("slides").setAttribute("aria-pressed", String(on));
}
element("slides").addEventListener("click", () => setSlides(slides === 0));
box.addEventListener("pointerdown", (event) => event.target.closest("#slides") || setSlides(false));

swipes.aside = step;
swipes.down = () => box.close();

/** Whether the box has an entry of its own in the browser's history, and whether that is just being left. */
const entry = { open: false, left: false };
addEventListener("popstate", () => {
  if (!entry.open) return;
  Object.assign(entry, { open: false, left: true });
  // A change of the address that belongs to it comes at once.
  setTimeout(() => {
    entry.left = false;
  });
  if (box.open) box.close();
  redraw();
});

box.addEventListener("close", () => {
  setSlides(false);
  if (entry.open) history.back();
  reveal(picked.chosen);
  canvas.focus();
});
box.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey) setSlides(slides === 0);
  else setSlides(false);
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!steps) return;
  event.preventDefault();
  const next = inDirection(picked.chosen, ...steps);
  if (next >= 0) open(next);
});

const orders = new WeakMap();

/** All pictures in the order of a layout. */
function orderOf(of) {
  if (!orders.has(of)) {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    if (of.name === "time") order.sort((a, b) => of.x[a] - of.x[b] || of.y[b] - of.y[a]);
    else if (of.name !== "grid") order.sort((a, b) => of.x[a] - of.x[b]);
    orders.set(of, order);
  }
  return orders.get(of);
}

/** To the next picture that is lit, in the order of the layout. */
function step(by) {
  const { lit, chosen } = picked;
  const order = orderOf(layout.to);
  let at = order.indexOf(chosen);
  do at = (at + by + count) % count;
  while (lit && !lit[order[at]] && order[at] !== chosen);
  open(order[at]);
}

/** The picture next to one in a direction, among those that are lit; -1 if there is none. */
function inDirection(i, dx, dy) {
  const { x, y } = layout.to;
  const { lit } = picked;
  let [best, least] = [-1, Number.POSITIVE_INFINITY];
  for (let other = 0; other < count; other += 1) {
    if (other === i || (lit && !lit[other])) continue;
    const along = (x[other] - x[i]) * dx + (y[other] - y[i]) * dy;
    const aside = Math.abs((x[other] - x[i]) * dy) + Math.abs((y[other] - y[i]) * dx);
    // Straight ahead is nearest; what lies more aside than ahead is another direction.
    if (along > 0.01 && aside <= along && along + 3 * aside < least) [best, least] = [other, along + 3 * aside];
  }
  return best;
}

page.card = { box, entry, why, hover, showCard, hideCard, tapped, open, inDirection };
