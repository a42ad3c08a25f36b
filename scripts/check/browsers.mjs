// Uses a page from disk in Chromium and in Firefox like a visitor, and checks its accessibility with axe-core in
// Chromium.
// Usage: node scripts/check/browsers.mjs explorer/index.html [FOLDER FOR SCREENSHOTS]
// Needs puppeteer-core and axe-core (scripts/check/browsers.sh installs them), `chromium`, and `firefox-esr` or
// `firefox`.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.NODE_PATH ?? ".", "x.js"));
const puppeteer = require("puppeteer-core");
const page = pathToFileURL(path.resolve(process.argv[2])).href;
const shots = process.argv[3];
const sizes = { desk: [1440, 900], tablet: [1024, 768], phone: [390, 844] };
let failed = 0;

function check(what, holds) {
  if (!holds) failed += 1;
  console.log(`${holds ? "OK" : "FAILED"}: ${what}`);
}

function found(...names) {
  for (const name of names) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {}
  }
  return null;
}

const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** Opens the page in a window, with what its console says of errors. */
async function open(browser, [width, height], scheme = "light") {
  const tab = await browser.newPage();
  const said = [];
  tab.on("console", (message) => message.type() === "error" && said.push(message.text()));
  tab.on("pageerror", (error) => said.push(String(error)));
  await tab.setViewport({ width, height });
  if (scheme === "dark" && browser.name === "Chromium") {
    await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  }
  await tab.goto(page, { waitUntil: "load" });
  await tab.waitForFunction(() => document.getElementById("title").textContent !== "" && !document.querySelector("noscript p")?.offsetHeight);
  await rest(500);
  return { tab, said };
}

/** Whether anything is drawn between the bars: a plain area is a PNG of a few kilobytes. */
async function isDrawn(tab) {
  const clip = { x: 0, y: 70, width: 1440, height: 740 };
  return (await tab.screenshot({ clip })).length > 20_000;
}

async function walk(browser) {
  const { name } = browser;
  const { tab, said } = await open(browser, sizes.desk);
  check(`${name}: the wall is drawn`, await isDrawn(tab));
  for (const layout of ["map", "time", "grid"]) {
    const button = await tab.$(`[data-layout=${layout}]:not(.lacking)`);
    if (!(await button?.isVisible())) continue;
    await button.click();
    await rest(1200);
    check(`${name}: ${layout}`, (await tab.$eval(`[data-layout=${layout}]`, (one) => one.getAttribute("aria-checked"))) === "true");
    check(`${name}: ${layout} is drawn`, await isDrawn(tab));
    if (shots) await tab.screenshot({ path: path.join(shots, `${name}-${layout}.png`) });
  }
  await tab.mouse.click(sizes.desk[0] / 2, sizes.desk[1] / 2);
  await tab.waitForSelector("#box[open]", { timeout: 5000 });
  check(`${name}: a picture opens, with what is known of it`, (await tab.$eval("#box-facts", (facts) => facts.children.length)) > 0);
  if (shots) await tab.screenshot({ path: path.join(shots, `${name}-opened.png`) });
  await tab.keyboard.press("ArrowRight");
  await rest(300);
  await tab.goBack();
  await rest(500);
  check(`${name}: the way back closes it`, (await tab.$("#box[open]")) === null);
  await tab.type("#search", "zzzz");
  await rest(600);
  const nothing = await tab.$eval("#count", (count) => count.textContent);
  await tab.$eval("#search", (field) => {
    field.value = "";
  });
  await tab.type("#search", "a");
  await rest(600);
  const some = await tab.$eval("#count", (count) => count.textContent);
  check(`${name}: a search says how many (${some}) and that there is nothing (${nothing})`, nothing !== some && /\d/.test(some));
  check(`${name}: no error in the console${said.length ? `: ${said.join(" | ")}` : ""}`, said.length === 0);
  await tab.close();
}

/** What axe-core finds wrong, in each layout, size and scheme, with panels and a picture open. */
async function axe(browser) {
  const source = require.resolve("axe-core/axe.min.js");
  for (const [size, window] of Object.entries(sizes)) {
    for (const scheme of ["light", "dark"]) {
      const { tab } = await open(browser, window, scheme);
      // The page's own security policy would block axe-core as a foreign script, so it is evaluated over CDP.
      const client = await tab.createCDPSession();
      await client.send("Runtime.evaluate", { expression: readFileSync(source, "utf8") });
      const look = async (what) => {
        const { result } = await client.send("Runtime.evaluate", {
          expression: "axe.run().then((found) => JSON.stringify(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`)))",
          awaitPromise: true,
        });
        const violations = JSON.parse(result.value);
        check(`axe: ${size}, ${scheme}, ${what}${violations.length ? `: ${violations.join("; ")}` : ""}`, violations.length === 0);
        if (shots) await tab.screenshot({ path: path.join(shots, `${size}-${scheme}-${what}.png`) });
      };
      await look("grid");
      await tab.click("#more");
      await look("filter");
      await tab.click("#look");
      await look("view");
      await tab.keyboard.press("Escape");
      for (const layout of ["map", "time"]) {
        const button = await tab.$(`[data-layout=${layout}]:not(.lacking)`);
        if (!(await button?.isVisible())) continue;
        await button.click();
        await rest(900);
        await look(layout);
      }
      await tab.$eval("[data-layout=grid]", (button) => button.click());
      await rest(900);
      await tab.mouse.click(window[0] / 2, window[1] / 2);
      await rest(700);
      await look("opened");
      await tab.close();
    }
  }
}

const chromium = found("chromium", "chromium-browser", "google-chrome");
const firefox = found("firefox-esr", "firefox");
for (const [name, browser, executablePath] of [["Chromium", "chrome", chromium], ["Firefox", "firefox", firefox]]) {
  if (executablePath === null) {
    console.log(`NOT CHECKED: ${name} is not here`);
    continue;
  }
  const args = browser === "chrome" ? ["--no-sandbox", "--disable-gpu"] : [];
  const running = await puppeteer.launch({ browser, executablePath, args, headless: true });
  running.name = name;
  try {
    await walk(running);
    if (browser === "chrome") await axe(running);
  } finally {
    await running.close();
  }
}
process.exit(failed ? 1 : 0);
