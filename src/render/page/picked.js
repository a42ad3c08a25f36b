// What stands out of the others: the pictures that are looked for, the chosen one, and what is shown over them.

const { element, rowOf, columnOf } = page.data;
const { withRows, nameOf, factsOf } = page.rows;
const { redraw, crowding } = page.view;

/** `lit` is 1 or 0 for each picture while something is looked for; null lights all. No chosen one is -1. */
const picked = { lit: null, chosen: -1 };
const shows = { seams: false, new: false, groups: true };

function light(lit) {
  picked.lit = lit;
  crowding.lit = lit;
  redraw();
}

function mark(i) {
  picked.chosen = i;
  redraw();
}

/** Makes a picture the chosen one, and says so. */
function choose(i) {
  mark(i);
  withRows([i], () => {
    const facts = [nameOf(i), factsOf(i), `row ${rowOf(i) + 1}, column ${columnOf(i) + 1}`].filter(Boolean).join(", ");
    // Behind an open box nothing is read out, so the box has a line of its own.
    if (picked.chosen === i) for (const id of ["said", "box-said"]) element(id).textContent = facts;
  });
}

/** Shows seams, new pictures or the names of groups, or no longer. */
function show(what, on) {
  shows[what] = on;
  element(what === "groups" ? "groups-shown" : what).checked = on;
  redraw();
}

page.picked = { picked, shows, light, mark, choose, show };
