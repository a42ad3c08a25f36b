// Painting: the context of the canvas, the colours of the page, and the dimming of pictures that are not lit.

const { canvas } = page.view;
const { highlight } = page.highlight;

const paint = canvas.getContext("2d", { alpha: false });
/** Opacity of pictures that are not lit. */
const DIM = 0.13;

const colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ground", "ink", "accent", "faint"]) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

/**
 * Calls `pass(null)` to draw all pictures. If only some are lit, `pass(0)` for the others, dimmed, and then `pass(1)`.
 */
function inPasses(context, pass) {
  if (!highlight.lit) {
    pass(null);
    return;
  }
  context.globalAlpha = DIM;
  pass(0);
  context.globalAlpha = 1;
  pass(1);
}

page.paint = { paint, DIM, colours, readColours, inPasses };
