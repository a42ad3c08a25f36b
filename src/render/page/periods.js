// When pictures were taken, as a slider of two handles over the days or months that have some.

const { element, columns } = page.data;
const { dayFormat } = page.rows;
const { ask, lookAndGo } = page.search;

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

function makeTimes() {
  const known = (columns.time ?? new Float64Array()).filter((time) => !Number.isNaN(time)).sort();
  periods = periodsOf(known, false);
  if (periods.length > MOST_DAYS) periods = periodsOf(known, true);
  element("times").hidden = periods.length < 2;
  if (element("times").hidden) return;
  for (const id of ["from", "to"]) {
    element(id).max = periods.length;
    element(id).value = id === "from" ? 0 : periods.length;
    element(id).addEventListener("input", () => {
      slide(id);
      lookAndGo();
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
  ask({ from: first === 0 ? null : begin, to: last === periods.length ? null : end });
  const day = (seconds) => dayFormat.format(1000 * seconds);
  element("span").textContent = `${day(begin)} – ${day(end - 86400)}`;
  from.setAttribute("aria-valuetext", day(begin));
  to.setAttribute("aria-valuetext", day(end - 86400));
}

/** Puts the handles where a time from the address says. */
function setTimes(from, to) {
  if (periods.length < 2) return;
  const [begin, end] = [from ?? Number.NEGATIVE_INFINITY, to ?? Number.POSITIVE_INFINITY];
  element("from").value = periods.filter((period) => period.to <= begin).length;
  element("to").value = periods.filter((period) => period.from < end).length;
  slide("to");
}

page.periods = { makeTimes, setTimes };
