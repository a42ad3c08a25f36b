// What is painted with: the canvas of the wall, the colours of the page, and the dimming of what is not looked for.

const { canvas } = page.view;
const { picked } = page.picked;

const paint = canvas.getContext("2d", { alpha: false });
const DIM = 0.13;

const colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ground", "ink", "accent", "faint"]) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

/** Calls `pass` with null for all pictures; or, while some are lit, first with 0 for the others, dimmed. */
function inPasses(context, pass) {
  if (!picked.lit) {
    pass(null);
    return;
  }
  context.globalAlpha = DIM;
  pass(0);
  context.globalAlpha = 1;
  pass(1);
}

page.paint = { paint, DIM, colours, readColours, inPasses };
