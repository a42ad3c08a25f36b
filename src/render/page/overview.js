// The overview: the whole layout in small, drawn from the coarsest level, with a frame around the part in view.

const { count, element, columnsLoaded } = page.data;
const { layout, lookAt, windowWidth, windowHeight, toCells } = page.view;
const { foundTile, findTile, drawFoundTile } = page.sheets;
const { colours } = page.paint;
const { dotsOn } = page.dots;

const overview = element("overview");
/** Its longer side in pixels, and the largest share of the window's width for it. */
const OVERVIEW = 150;
const OVERVIEW_SHARE = 0.28;
/** A cached image of the layout, and what it was drawn for; the empty text makes it be drawn again. */
const small = document.createElement("canvas");
let smallOf = "";
const nameOfSmall = (of, width) => `${of.name} ${width} ${devicePixelRatio} ${colours.ground}`;

function drawOverview() {
  const of = layout.to;
  const [left, top] = toCells(0, 0);
  const [right, bottom] = toCells(windowWidth(), windowHeight());
  // The overview is hidden when nearly all of the layout is in view anyway.
  const seen = Math.min(right, of.width) - Math.max(left, 0) > of.width * 0.9;
  const whole = seen && Math.min(bottom, of.height) - Math.max(top, 0) > of.height * 0.9;
  overview.hidden = whole || layout.progress < 1 || windowHeight() < 420 || !columnsLoaded();
  if (overview.hidden) return;
  const scale = Math.min(OVERVIEW, OVERVIEW_SHARE * windowWidth()) / Math.max(of.width, of.height);
  const [width, height] = [of.width * scale, of.height * scale].map((side) => Math.max(8, Math.round(side)));
  if (smallOf !== nameOfSmall(of, width)) drawSmall(of, width, height, scale);
  const context = overview.getContext("2d");
  if (overview.width !== small.width || overview.height !== small.height) {
    overview.width = small.width;
    overview.height = small.height;
    overview.style.width = `${width}px`;
    overview.style.height = `${height}px`;
  }
  // The cached image is in device pixels, the frame in CSS pixels.
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(small, 0, 0);
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.lineWidth = 2;
  context.strokeStyle = colours.accent;
  context.strokeRect(
    left * scale,
    top * scale,
    Math.max(4, (right - left) * scale),
    Math.max(4, (bottom - top) * scale),
  );
}

/** Draws the cached image, from pixels if they are loaded, otherwise from tiles. */
function drawSmall(of, width, height, scale) {
  small.width = width * devicePixelRatio;
  small.height = height * devicePixelRatio;
  const context = small.getContext("2d");
  const dots = dotsOn(small, scale * devicePixelRatio, colours.ground, null, 1);
  if (dots) {
    const ratio = small.width / of.width;
    for (let i = 0; i < count; i += 1) dots.put(i, of.x[i] * ratio, of.y[i] * ratio);
    dots.done();
    smallOf = nameOfSmall(of, width);
    return;
  }
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 0.8;
  let complete = true;
  const side = Math.max(1, scale);
  for (let i = 0; i < count; i += 1) {
    findTile(i, 0);
    complete &&= foundTile.bitmap !== null;
    drawFoundTile(context, of.x[i] * scale - side / 2, of.y[i] * scale - side / 2, side);
  }
  // While sheets are missing, the image is drawn again in every frame.
  smallOf = complete ? nameOfSmall(of, width) : "";
}

function lookAtPointer(event) {
  if (event.type === "pointermove" && event.buttons === 0) return;
  const box = overview.getBoundingClientRect();
  const of = layout.to;
  lookAt(((event.clientX - box.left) / box.width) * of.width, ((event.clientY - box.top) / box.height) * of.height);
}
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  lookAtPointer(event);
});
overview.addEventListener("pointermove", lookAtPointer);

page.overview = { drawOverview };
