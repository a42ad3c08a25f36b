// Single pictures: the card next to the pointer, and the box (a dialog) with the larger picture.

const { wall, count, element, columnOf, rowOf, fileName, isReady } = page.data;
const { row, withRows, factsOf, fieldsOf, wordsOf, nameOf } = page.rows;
const { canvas, layout, redraw, windowWidth, windowHeight, pictureAt, reveal } = page.view;
const { levelFor, foundTile, findTile, drawFoundTile, whenLoaded, stopWaiting } = page.sheets;
const { highlight, setFocused, focusPicture } = page.highlight;
const { swipes, resetPlacement } = page.fingers;
const { groupsOf } = page.groups;

const card = element("card");
const box = element("box");
/** Why a picture was found, and which of its files matched, where 0 is the one in front. search.js sets both. */
const matchReason = { of: () => "", file: () => 0 };
/** The pictures to show in the card and in the box once their metadata are loaded, or -1. */
const pendingView = { pointed: -1, opened: -1 };

function hover(px, py) {
  if (!isReady()) return;
  const i = pictureAt(px, py);
  canvas.classList.toggle("over", i >= 0);
  if (i < 0) hideCard();
  else showCard(i, px, py);
}

function showCard(i, px, py) {
  pendingView.pointed = i;
  withRows([i], () => pendingView.pointed === i && fillCard(i, px, py));
}

function fillCard(i, px, py) {
  element("card-caption").textContent = row(i).caption;
  element("card-facts").textContent = factsOf(i) || nameOf(i);
  element("card-fields").textContent = fieldsOf(i);
  card.hidden = false;
  const besidePointer = (pointer, size, windowSize) =>
    pointer + 18 + size < windowSize ? pointer + 18 : Math.max(8, pointer - 18 - size);
  const x = besidePointer(px, card.offsetWidth, windowWidth());
  const y = besidePointer(py, card.offsetHeight, windowHeight());
  card.style.transform = `translate(${x}px, ${y}px)`;
}

function hideCard() {
  pendingView.pointed = -1;
  card.hidden = true;
  canvas.classList.remove("over");
}

function onTap(px, py) {
  if (!isReady()) return;
  const i = pictureAt(px, py);
  if (i < 0) {
    setFocused(-1);
    hideCard();
    return;
  }
  open(i);
}

function open(i) {
  pendingView.opened = i;
  withRows([i], () => pendingView.opened === i && openNow(i));
}

function openNow(i) {
  focusPicture(i);
  hideCard();
  fillBox(i);
  if (!box.open) {
    box.showModal();
    // An entry in the history lets the browser's back button close the box instead of leaving the page.
    history.pushState({ box: true }, "");
    historyEntry.open = true;
  }
  // The button that was pressed is gone with its strip, so the focus moves to the box, which keeps receiving keys.
  else if (!box.contains(document.activeElement)) box.focus();
}

function fillBox(i) {
  const { caption, path, link, behind, post, nearest } = row(i);
  element("box-caption").textContent = caption;
  element("box-why").textContent = matchReason.of(i);
  box.setAttribute("aria-label", nameOf(i));
  stopWaiting();
  const files = [[fileName(i), path, link], ...(wall.large ? behind : [])];
  const shownFile = Math.min(matchReason.file(i), files.length - 1);
  showFile(files[shownFile], i);
  fillStack(files, i, shownFile);
  fillStrip("siblings", post?.[1] ?? [], i);
  fillStrip("alike", nearest, i);
}

/** Lists the metadata of a picture: a term and its text per row. Rows without text are omitted. */
function fillFacts(i, path) {
  const { fields, size } = row(i);
  const folders = path.split("/").slice(0, -1).join(" / ");
  const rows = [
    ["", factsOf(i)],
    ...fields.map(([name, ...values]) => [name, values.join(", ")]),
    ["shows", wordsOf(i)],
    ["group", groupsOf(i).join(" › ")],
    ["cell", wall.hasCells ? `row ${rowOf(i) + 1}, column ${columnOf(i) + 1}` : ""],
    ["pixels", size ? `${size[0]} × ${size[1]}` : ""],
    ["folder", folders],
    ["file", path.split("/").pop()],
  ];
  const elements = rows
    .filter(([, text]) => text)
    .flatMap(([name, text]) => {
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      [term.dir, description.dir] = ["auto", "auto"];
      term.textContent = name;
      description.append(linked(text));
      return [term, description];
    });
  element("box-facts").replaceChildren(...elements);
}

/** A web address as a link, any other text as text. */
function linked(text) {
  if (!/^https?:\/\/[^\s"<>]+$/i.test(text) || !URL.canParse(text)) return document.createTextNode(text);
  const anchor = document.createElement("a");
  [anchor.href, anchor.textContent, anchor.target, anchor.rel] = [text, text, "_blank", "noopener noreferrer"];
  return anchor;
}

/** Shows a file of the cell of picture `i`: the one in front or one behind it. The file has a name, path and link. */
function showFile([name, path, link], i) {
  fillFacts(i, path);
  const original = element("box-link");
  original.hidden = link === "";
  if (link) original.href = link;
  else original.removeAttribute("href");
  const large = largeOf(name, i);
  element("frame").replaceChildren(large);
  resetPlacement();
  if (link && DISPLAYABLE.test(link)) sharpen(large, link);
}

/** Links to images that every browser can show. */
const DISPLAYABLE = /\.(jpe?g|png|webp|gif|bmp)$/i;

/**
 * Replaces a picture that has fewer pixels than its frame by the original, once that is loaded. Keeps the picture if
 * the original cannot be loaded or is not larger.
 */
async function sharpen(picture, link) {
  const original = new Image();
  original.alt = picture.alt ?? "";
  try {
    if (picture instanceof Image) await picture.decode();
    const { clientWidth, clientHeight } = element("frame");
    if (
      picture.naturalWidth >= clientWidth * devicePixelRatio ||
      picture.naturalHeight >= clientHeight * devicePixelRatio
    )
      return;
    original.src = link;
    await original.decode();
  } catch {
    return;
  }
  if (picture.parentElement !== element("frame") || original.naturalWidth <= (picture.naturalWidth || picture.width))
    return;
  original.style.transform = picture.style.transform;
  picture.replaceWith(original);
}

/** The larger picture as an element, or the tile if there is none. */
function largeOf(name, i) {
  if (!wall.large) return tileOf(i, 128);
  const image = new Image();
  image.alt = nameOf(i);
  image.src = `${wall.large}/${name}.jpg`;
  image.addEventListener("error", () => image.replaceWith(tileOf(i, 128)));
  return image;
}

/** Fills the strip of files that share a cell, with a button for each. */
function fillStack(files, i, shownFile) {
  const section = element("behind");
  section.hidden = files.length < 2;
  const buttons = files.map((file, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", file[1]);
    if (number === shownFile) button.setAttribute("aria-current", "true");
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

/** A tile as a canvas of its own, drawn as soon as its sheet is loaded. */
function tileOf(i, side) {
  const tile = document.createElement("canvas");
  tile.width = side;
  tile.height = side;
  const level = levelFor(side);
  const drawTile = () => {
    findTile(i, level);
    drawFoundTile(tile.getContext("2d"), 0, 0, side);
    return foundTile.side === wall.levels[level].side && foundTile.bitmap !== null;
  };
  if (!drawTile()) whenLoaded(drawTile);
  // Missing sheets are requested at the end of a frame, so a frame is needed.
  redraw();
  return tile;
}

function fillStrip(id, pictures, current) {
  const section = element(id);
  section.hidden = pictures.length === 0;
  withRows(pictures, () => highlight.focused === current && showStrip(section, pictures, current));
}

function showStrip(section, pictures, current) {
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
  // The content covers the box, so a click whose target is the box itself was on the backdrop.
  if (event.target === box) box.close();
});
/** Milliseconds per picture in the slide show. */
const SLIDE_MS = 4000;
let slideTimer = 0;
function setSlides(on) {
  clearInterval(slideTimer);
  slideTimer = on ? setInterval(() => step(1), SLIDE_MS) : 0;
  element("slides").setAttribute("aria-pressed", String(on));
}
element("slides").addEventListener("click", () => setSlides(slideTimer === 0));
box.addEventListener("pointerdown", (event) => event.target.closest("#slides") || setSlides(false));

swipes.aside = step;
swipes.down = () => box.close();

/** Whether the box has an entry in the browser's history, and whether that entry has just been left. */
const historyEntry = { open: false, left: false };
addEventListener("popstate", () => {
  if (!historyEntry.open) return;
  Object.assign(historyEntry, { open: false, left: true });
  // The `hashchange` event of this navigation follows immediately, and must be ignored.
  setTimeout(() => {
    historyEntry.left = false;
  });
  if (box.open) box.close();
  redraw();
});

box.addEventListener("close", () => {
  setSlides(false);
  if (historyEntry.open) history.back();
  reveal(highlight.focused);
  canvas.focus();
});
box.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "s" && !event.ctrlKey && !event.metaKey) setSlides(slideTimer === 0);
  else setSlides(false);
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!steps) return;
  event.preventDefault();
  const next = neighbourInDirection(highlight.focused, ...steps);
  if (next >= 0) open(next);
});

const orders = new WeakMap();

/** All pictures in the reading order of a layout, for the slide show and the buttons. */
function orderOf(of) {
  if (!orders.has(of)) {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    if (of.name === "time") order.sort((a, b) => of.x[a] - of.x[b] || of.y[b] - of.y[a]);
    else if (of.name !== "grid") order.sort((a, b) => of.x[a] - of.x[b]);
    orders.set(of, order);
  }
  return orders.get(of);
}

/** Opens the next or previous lit picture, in the order of the layout. */
function step(by) {
  const { lit, focused } = highlight;
  const order = orderOf(layout.to);
  let index = order.indexOf(focused);
  do index = (index + by + count) % count;
  while (lit && !lit[order[index]] && order[index] !== focused);
  open(order[index]);
}

/** The nearest lit picture in a direction, or -1. */
function neighbourInDirection(i, dx, dy) {
  const { x, y } = layout.to;
  const { lit } = highlight;
  let [best, shortest] = [-1, Number.POSITIVE_INFINITY];
  for (let other = 0; other < count; other += 1) {
    if (other === i || (lit && !lit[other])) continue;
    const along = (x[other] - x[i]) * dx + (y[other] - y[i]) * dy;
    const sideways = Math.abs((x[other] - x[i]) * dy) + Math.abs((y[other] - y[i]) * dx);
    // The distance to the side counts three times. A picture that is more to the side than ahead is in another
    // direction.
    if (along > 0.01 && sideways <= along && along + 3 * sideways < shortest)
      [best, shortest] = [other, along + 3 * sideways];
  }
  return best;
}

page.card = { box, historyEntry, matchReason, hover, showCard, hideCard, onTap, open, neighbourInDirection };
