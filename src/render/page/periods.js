// The time filter: a slider with two handles over the days or months that have pictures.

const { element, columns } = page.data;
const { dayFormat } = page.rows;
const { updateQuery, searchAndZoom } = page.search;

/** If more days than this have pictures, the steps of the slider are months. */
const MAX_DAYS = 800;
// The days or months that have pictures: begin and end in seconds, in UTC.
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

function makeTimeSlider() {
  const times = (columns.time ?? new Float64Array()).filter((time) => !Number.isNaN(time)).sort();
  periods = periodsOf(times, false);
  if (periods.length > MAX_DAYS) periods = periodsOf(times, true);
  element("times").hidden = periods.length < 2;
  if (element("times").hidden) return;
  for (const id of ["from", "to"]) {
    element(id).max = periods.length;
    element(id).value = id === "from" ? 0 : periods.length;
    element(id).addEventListener("input", () => {
      slide(id);
      searchAndZoom();
    });
  }
  slide("to");
}

/** Applies the positions of the two handles. The handle that is moved pushes the other one. */
function slide(moved) {
  const [from, to] = [element("from"), element("to")];
  let [first, last] = [Number(from.value), Number(to.value)];
  // At least one period stays between them.
  if (moved === "from") {
    first = Math.min(first, periods.length - 1);
    last = Math.max(last, first + 1);
  } else {
    last = Math.max(last, 1);
    first = Math.min(first, last - 1);
  }
  [from.value, to.value] = [first, last];
  const [begin, end] = [periods[first].from, periods[last - 1].to];
  updateQuery({ from: first === 0 ? null : begin, to: last === periods.length ? null : end });
  const day = (seconds) => dayFormat.format(1000 * seconds);
  element("span").textContent = `${day(begin)} – ${day(end - 86400)}`;
  from.setAttribute("aria-valuetext", day(begin));
  to.setAttribute("aria-valuetext", day(end - 86400));
}

/** Moves the handles to a time range in seconds, in which null is an open end. */
function setTimeRange(from, to) {
  if (periods.length < 2) return;
  const [begin, end] = [from ?? Number.NEGATIVE_INFINITY, to ?? Number.POSITIVE_INFINITY];
  element("from").value = periods.filter((period) => period.to <= begin).length;
  element("to").value = periods.filter((period) => period.from < end).length;
  slide("to");
}

page.periods = { makeTimeSlider, setTimeRange };
