// Measures a page in headless Chromium without a graphics card: the first paint, the times between frames while the
// mouse drags it and while pictures glide from one layout to the next, and memory.
// Usage: node scripts/measure/explorer.mjs explorer/index.html | https://…
// Needs puppeteer-core (scripts/measure/explorer.sh installs it) and `chromium`.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.NODE_PATH ?? ".", "x.js"));
const puppeteer = require("puppeteer-core");
const page = existsSync(process.argv[2]) ? pathToFileURL(path.resolve(process.argv[2])).href : process.argv[2];
const executablePath = execFileSync("which", ["chromium"], { encoding: "utf8" }).trim();
const [width, height] = [1280, 800];

const rest = (ms) => new Promise((done) => setTimeout(done, ms));
const browser = await puppeteer.launch({
  browser: "chrome",
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"],
  headless: true,
  protocolTimeout: 600_000,
});
const tab = await browser.newPage();
await tab.setViewport({ width, height });
const client = await tab.createCDPSession();
await client.send("Performance.enable");

/** Median, 95 % and the longest of the times between frames while something is done; milliseconds. */
async function frames(what, doing) {
  await tab.evaluate(() => {
    window.frameTimes = [];
    let last = performance.now();
    const step = (now) => {
      window.frameTimes?.push(now - last);
      last = now;
      if (window.frameTimes) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  await doing();
  const times = await tab.evaluate(() => {
    const times = window.frameTimes.slice(2).sort((a, b) => a - b);
    window.frameTimes = null;
    return times;
  });
  const at = (share) => times[Math.floor((times.length - 1) * share)]?.toFixed(1);
  console.log(`${what.padEnd(28)} ${at(0.5)} / ${at(0.95)} / ${at(1)} ms of ${times.length} frames`);
}

/** Drags in circles, so that one ends where one began. */
async function drag(ms = 3000) {
  const [x, y] = [width / 2, height / 2 + 40];
  await tab.mouse.move(x, y);
  await tab.mouse.down();
  const begun = Date.now();
  for (let passed = 0; passed < ms; passed = Date.now() - begun) {
    const angle = passed / 300;
    await tab.mouse.move(x + 150 * Math.sin(angle), y + 150 * (1 - Math.cos(angle)));
  }
  await rest(100);
  await tab.mouse.up();
}

const ours = () => tab.evaluate(() => typeof page !== "undefined" && Boolean(page.data?.isReady?.()));
const begun = Date.now();
await tab.goto(page, { waitUntil: "domcontentloaded", timeout: 300_000 });
const paint = await tab.waitForFunction(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime, {
  timeout: 300_000,
});
console.log(`first paint                  ${Math.round(await paint.jsonValue())} ms`);
let settled = false;
for (let tries = 0; tries < 600 && !settled; tries += 1) {
  settled = await ours();
  if (!settled && tries > 60 && !(await tab.evaluate(() => typeof page !== "undefined"))) break;
  if (!settled) await rest(50);
}
if (settled) console.log(`all numbers are there        ${Date.now() - begun} ms`);
await rest(1500);

if (!settled) {
  await frames("dragged", drag);
} else {
  const go = (layout) => tab.evaluate((name) => page.controls.chooseLayout(name), layout);
  const still = () =>
    tab.waitForFunction(() => page.view.layout.progress === 1 && !page.view.frame.glide, { timeout: 120_000 });
  // Grids of tables have no dates, so dates are generated.
  await tab.evaluate(() => {
    const { columns, wall } = page.data;
    if (!wall.dots)
      columns.time ??= Float64Array.from({ length: wall.count }, (_, i) => 1.2e9 + ((i * 7919) % 1000003) * 300);
  });
  const possible = await tab.evaluate(() => page.layouts.possibleLayouts());
  for (const layout of possible) {
    const before = Date.now();
    await go(layout);
    await still();
    await rest(1500);
    if (Date.now() - before > 6000)
      console.log(`${layout}: at rest after ${((Date.now() - before) / 1000).toFixed(1)} s`);
    for (const zoom of [1, 4, 16]) {
      await tab.evaluate((times) => {
        const { wholeView, layout, jumpTo } = page.view;
        const whole = wholeView(layout.to);
        jumpTo({ ...whole, scale: whole.scale * times });
      }, zoom);
      await rest(1500);
      await frames(`${layout}, ${zoom} times nearer`, drag);
    }
    await tab.evaluate(() => page.view.jumpTo(page.view.wholeView(page.view.layout.to)));
  }
  await rest(1000);
  for (const layout of possible) {
    await frames(`glides to ${layout}`, async () => {
      await go(layout);
      await rest(1100);
    });
    await rest(1500);
  }
}
const { metrics } = await client.send("Performance.getMetrics");
const heap = metrics.find(({ name }) => name === "JSHeapUsedSize").value;
const all = execFileSync("ps", ["-o", "rss=,args=", "-A"], { encoding: "utf8" })
  .split("\n")
  .filter((line) => line.includes("--type=renderer"))
  .map((line) => Number.parseInt(line, 10));
console.log(
  `memory                       ${(heap / 1e6).toFixed(0)} MB in use by the script, ${(Math.max(...all) / 1e3).toFixed(0)} MB the process`,
);
await browser.close();
