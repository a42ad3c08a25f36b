// What is looked for, and what is shown.

const { block, wall, count, element, dayFormat } = page.data;
const { canvas, redraw, windowWidth, reveal, switchTo } = page.view;
const { picked, light, choose, show } = page.picked;
const { hideCard } = page.card;
const { makeGroups } = page.groups;

/** Percent from which on a picture is taken to show what the model says. */
const LIKELY = 30;

const looking = { text: "", kinds: null, from: null, to: null };

/** Without accents and case: who looks for "cafe" means "Café" too, and with "strasse" "Straße". */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toUpperCase();
let haystack = null;
/** How well each picture fits what is searched for; null while nothing is. */
let ranks = null;

/** 1 where captions and path have all words; less where it is the model that says so; 0 where nothing does. */
function ranked(words) {
  const shown = wordRanks(words);
  const written = (i, word) => haystack[i].includes(word);
  return Float32Array.from({ length: count }, (_, i) =>
    words.reduce((least, word, n) => Math.min(least, written(i, word) ? 1 : (shown[n].get(i) ?? 0)), 1),
  );
}

/** For each of the words that are looked for: how likely pictures show something of which a name has it. */
function wordRanks(words) {
  const { names, of } = block("words");
  const parts = names.map((name) => plain(name).split(" "));
  return words.map((word) => {
    // Who looks for dogs means a dog; what is begun may be meant too.
    const one = word.length > 3 ? word.replace(/S$/, "") : word;
    const meant = parts.map((part) =>
      part.some((text) => text === word || text === one || (one.length > 3 && text.startsWith(one))),
    );
    const found = new Map();
    of.forEach((known, i) => {
      for (const [name, percent] of known) {
        if (meant[name] && percent >= LIKELY) found.set(i, Math.max(found.get(i) ?? 0, percent / 101));
      }
    });
    return found;
  });
}

function look() {
  const { time, kinds, kind } = block("facts");
  const words = plain(looking.text).split(/\s+/).filter(Boolean);
  const all = words.length === 0 && !looking.kinds && looking.from === null && looking.to === null;
  if (words.length > 0 && !haystack) {
    const { caption, path } = block("texts");
    haystack = caption.map((text, i) => plain(`${text}\n${path[i]}`));
  }
  ranks = words.length > 0 ? ranked(words) : null;
  const fits = (i) =>
    (!ranks || ranks[i] > 0) &&
    (!looking.kinds || looking.kinds.has(kinds[kind[i]])) &&
    (looking.from === null || (time[i] !== null && time[i] >= looking.from)) &&
    (looking.to === null || (time[i] !== null && time[i] < looking.to));
  const lit = all ? null : Uint8Array.from({ length: count }, (_, i) => (fits(i) ? 1 : 0));
  const hits = lit ? lit.reduce((sum, one) => sum + one, 0) : count;
  element("count").hidden = all;
  element("count").textContent = `${hits.toLocaleString("en")} of ${count.toLocaleString("en")}`;
  element("more").classList.toggle("active", Boolean(looking.kinds) || looking.from !== null || looking.to !== null);
  light(lit);
}

/** Sets all that is looked for, and its controls. */
function lookFor({ text, kinds, from, to }) {
  looking.text = text;
  element("search").value = text;
  looking.kinds = kinds && new Set(kinds);
  for (const check of element("kinds").querySelectorAll("input")) check.checked = !kinds || kinds.includes(check.value);
  if (periods.length > 1) {
    const [begin, end] = [from ?? Number.NEGATIVE_INFINITY, to ?? Number.POSITIVE_INFINITY];
    element("from").value = periods.filter((period) => period.to <= begin).length;
    element("to").value = periods.filter((period) => period.from < end).length;
    slide("to");
  }
  look();
}

element("search").addEventListener("input", (event) => {
  looking.text = event.target.value;
  look();
});
element("search").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !picked.lit) return;
  const first = best();
  if (first < 0) return;
  choose(first);
  reveal(first);
  canvas.focus();
});

/** The lit picture that fits best, the first of equal ones; -1 if none is lit. */
function best() {
  let found = -1;
  for (let i = 0; i < count; i += 1) {
    if (picked.lit[i] && (found < 0 || (ranks && ranks[i] > ranks[found]))) found = i;
  }
  return found;
}

element("more").addEventListener("click", () => {
  const panel = element("panel");
  panel.hidden = !panel.hidden;
  element("more").setAttribute("aria-expanded", String(!panel.hidden));
});

/** Fills the panel with what these pictures can be told apart by. */
function makePanel() {
  const facts = block("facts");
  makeKinds(facts);
  makeTimes(facts);
  makeLegend(facts);
  element("seams-label").hidden = !wall.hasCells || !block("likeness").seams;
  element("new-label").hidden = facts.new.length === 0;
  element("new-text").textContent = `The ${facts.new.length.toLocaleString("en")} that are new`;
  makeGroups();
  element("shows").hidden = ["seams-label", "new-label", "groups-label"].every((id) => element(id).hidden);
  for (const [what, id] of [
    ["seams", "seams"],
    ["new", "new"],
    ["groups", "groups-shown"],
  ]) {
    element(id).addEventListener("change", (event) => show(what, event.target.checked));
  }
  element("more").hidden = ["kinds", "times", "shows", "groups", "legend"].every((id) => element(id).hidden);
}

function makeKinds({ kinds }) {
  const named = kinds.filter(Boolean);
  element("kinds").hidden = named.length < 2;
  for (const kind of named) {
    const label = document.createElement("label");
    const check = document.createElement("input");
    check.type = "checkbox";
    check.checked = true;
    check.value = kind;
    check.addEventListener("change", () => {
      const on = [...element("kinds").querySelectorAll("input:checked")].map((input) => input.value);
      looking.kinds = on.length === named.length ? null : new Set(on);
      look();
    });
    label.append(check, kind);
    element("kinds").append(label);
  }
}

/** More days with pictures than this, and the slider goes by months. */
const MOST_DAYS = 800;
// The days or months that have pictures: from when, and to when.
let periods = [];

function periodsOf(times, monthly) {
  const found = [];
  for (const time of times) {
    if (found.length > 0 && time < found[found.length - 1].to) continue;
    const date = new Date(1000 * time);
    date.setUTCHours(0, 0, 0, 0);
    if (monthly) date.setUTCDate(1);
    const from = date.getTime() / 1000;
    if (monthly) date.setUTCMonth(date.getUTCMonth() + 1);
    else date.setUTCDate(date.getUTCDate() + 1);
    found.push({ from, to: date.getTime() / 1000 });
  }
  return found;
}

function makeTimes({ time }) {
  const known = time.filter((t) => t !== null).sort((a, b) => a - b);
  periods = periodsOf(known, false);
  if (periods.length > MOST_DAYS) periods = periodsOf(known, true);
  element("times").hidden = periods.length < 2;
  if (element("times").hidden) return;
  for (const id of ["from", "to"]) {
    element(id).max = periods.length;
    element(id).value = id === "from" ? 0 : periods.length;
    element(id).addEventListener("input", () => {
      slide(id);
      look();
    });
  }
  slide("to");
}

/** Takes over where the slider's two handles are; the one that is moved pushes the other. */
function slide(moved) {
  const [from, to] = [element("from"), element("to")];
  let [first, last] = [Number(from.value), Number(to.value)];
  // There is at least one period between them.
  if (moved === "from") {
    first = Math.min(first, periods.length - 1);
    last = Math.max(last, first + 1);
  } else {
    last = Math.max(last, 1);
    first = Math.min(first, last - 1);
  }
  [from.value, to.value] = [first, last];
  const [begin, end] = [periods[first].from, periods[last - 1].to];
  looking.from = first === 0 ? null : begin;
  looking.to = last === periods.length ? null : end;
  const day = (seconds) => dayFormat.format(1000 * seconds);
  element("span").textContent = `${day(begin)} – ${day(end - 86400)}`;
  from.setAttribute("aria-valuetext", day(begin));
  to.setAttribute("aria-valuetext", day(end - 86400));
}

function makeLegend({ legend }) {
  element("legend").hidden = !legend;
  if (!legend) return;
  element("legend-title").textContent = legend.column;
  const items = legend.entries.slice(0, 40).map(([text, colour]) => {
    const item = document.createElement("li");
    const swatch = document.createElement("canvas");
    [swatch.width, swatch.height] = [14, 14];
    const context = swatch.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 14, 14);
    const name = document.createElement("bdi");
    name.textContent = text;
    item.append(swatch, name);
    return item;
  });
  element("legend-list").replaceChildren(...items);
  element("panel").hidden = windowWidth() <= 760;
  element("more").setAttribute("aria-expanded", String(!element("panel").hidden));
}

function chooseLayout(name) {
  switchTo(name);
  for (const button of document.querySelectorAll("#layouts button")) {
    const on = button.dataset.layout === name;
    button.setAttribute("aria-checked", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  hideCard();
  redraw();
}

page.controls = { looking, lookFor, makePanel, chooseLayout };
