// What is highlighted: the pictures that match the query, the focused picture, and the overlays.

const { element, rowOf, columnOf } = page.data;
const { withRows, nameOf, factsOf } = page.rows;
const { redraw, thinning } = page.view;

/**
 * `lit` is 1 for each picture that matches the query and 0 for others, or null without a query. `focused` may be -1.
 */
const highlight = { lit: null, focused: -1 };
const overlays = { seams: false, new: false, groups: true };

function setLit(lit) {
  highlight.lit = lit;
  thinning.lit = lit;
  redraw();
}

function setFocused(i) {
  highlight.focused = i;
  redraw();
}

/** Focuses a picture and announces it to screen readers. */
function focusPicture(i) {
  setFocused(i);
  withRows([i], () => {
    const facts = [nameOf(i), factsOf(i), `row ${rowOf(i) + 1}, column ${columnOf(i) + 1}`].filter(Boolean).join(", ");
    // Screen readers ignore what is behind an open dialog, so the box has a live region of its own.
    if (highlight.focused === i) for (const id of ["said", "box-said"]) element(id).textContent = facts;
  });
}

/** Turns an overlay (seams, new pictures, group names) on or off. */
function setOverlay(name, on) {
  overlays[name] = on;
  element(name === "groups" ? "groups-shown" : name).checked = on;
  redraw();
}

page.highlight = { highlight, overlays, setLit, setFocused, focusPicture, setOverlay };
