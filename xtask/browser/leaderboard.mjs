// The leaderboard in a real browser: node leaderboard.mjs URL PACKAGES CHROMIUM PICTURES FOLDER SYNTHETIC
// URL serves FOLDER, which is opened from disk as well; SYNTHETIC holds a leaderboard of 1,000 made-up entries.
// Exits with 1 and a line for each thing that is not as it must be.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { findings } from "./axe.mjs";
import { listen } from "./heard.mjs";

const [url, packages, chromium, pictures, folder, synthetic] = process.argv.slice(2);
const { chromium: browsers } = createRequire(join(packages, "package.json"))("playwright-core");
mkdirSync(pictures, { recursive: true });
const wrong = [];
const expect = (holds, what) => { if (!holds) wrong.push(what); };
const browser = await browsers.launch({ executablePath: chromium, args: ["--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
const fromDisk = pathToFileURL(join(resolve(folder), "index.html")).href;
const data = JSON.parse(readFileSync(join(folder, "leaderboard.json"), "utf8"));

/** A page of its own, with what it complains of and what it asks of others. */
async function open(address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const heard = listen(page, address);
  await page.goto(address);
  if (!address.includes("/entry/")) await page.waitForSelector("body[data-state=live]", { timeout: 20_000 });
  return { page, heard, context, close: () => context.close() };
}
const rows = (page) => page.$$eval("#board tbody tr", (all) => all.map((tr) => [...tr.cells].map((cell) => cell.textContent)));
const count = async (page) => Number((await page.textContent("#count")).split(" ")[0]);
const lane = (id) => data.entries.filter((entry) => entry.lane === id);

// From a server and from a disk: filters, order, search, the address.
for (const address of [url, fromDisk]) {
  const { page, heard, close } = await open(address);
  expect(await count(page) === lane("attacks").length, `${address}: ${await count(page)} attacks`);
  await page.click("[name=lane][value=defenses]", { force: true });
  expect(await count(page) === lane("defenses").length, "the lane of defenses has other entries");
  const metric = lane("defenses")[0].metric;
  const facet = page.locator("#facets label", { hasText: "metric" }).locator("select");
  await facet.selectOption(metric);
  const fitting = lane("defenses").filter((entry) => entry.metric === metric).length;
  expect(await count(page) === fitting, `filter ${metric}: ${await count(page)} of ${fitting}`);
  expect(page.url().includes(`metric=${encodeURIComponent(metric)}`), `the address does not say the filter: ${page.url()}`);
  await page.click("#board th[data-key=value] button");
  const values = (await rows(page)).map((cells) => parseFloat(cells[3]));
  expect(values.every((value, i) => i === 0 || values[i - 1] >= value), `not sorted downwards: ${values.slice(0, 8)}`);
  await page.click("#board th[data-key=value] button");
  const upwards = (await rows(page)).map((cells) => parseFloat(cells[3]));
  expect(upwards.every((value, i) => i === 0 || upwards[i - 1] <= value), `not sorted upwards: ${upwards.slice(0, 8)}`);
  expect(await page.getAttribute("#board th[data-key=value]", "aria-sort") === "ascending", "the head does not say its order");
  const shared = page.url();
  const other = await open(shared);
  expect(JSON.stringify(await rows(other.page)) === JSON.stringify(await rows(page)), "the same address shows something else");
  await other.close();
  await page.click("#chips button");
  expect(await count(page) === lane("defenses").length, "a chip does not take its filter away");
  await page.keyboard.press("/");
  await page.keyboard.type("finetune");
  const found = await rows(page);
  expect(found.length > 0 && found.every((cells) => cells.join(" ").includes("finetune")), "search finds something else");
  await page.keyboard.press("Escape");
  await page.fill("[name=search]", "no such thing");
  expect((await page.textContent("#count")).startsWith("No entry fits"), "an empty table says nothing");
  await page.fill("[name=search]", "");
  // Columns.
  await page.click("details.columns >> nth=0 >> summary");
  await page.locator("#columns label", { hasText: "protocol" }).click();
  expect(await page.isVisible("#board th[data-key=protocol]"), "a chosen column does not show");
  expect(page.url().includes("columns="), "the address does not say the columns");
  // Keys.
  await page.focus("#board tbody tr");
  await page.keyboard.press("ArrowDown");
  expect(await page.evaluate(() => document.activeElement === document.querySelectorAll("#board tbody tr")[1]), "the arrow walks nowhere");
  expect(heard.length === 0, `${address}: heard complaining: ${heard.join("; ")}`);
  await close();
}

// The plot and the table light up together, and what is dominated fades.
{
  const { page, close } = await open(`${url}#lane=defenses`);
  const marks = await page.$$eval(".mark:not(.gone)", (all) => all.length);
  const plotted = lane("defenses").filter((entry) => entry.utility).length;
  expect(marks === plotted, `${marks} marks for ${plotted} entries`);
  await page.hover("#board tbody tr:first-child th");
  expect(await page.locator(".mark.lit").count() === 1, "a row does not light its mark");
  // A long table shows its first rows until somebody asks for more.
  if (await page.isVisible("#more")) await page.click("#more");
  await page.locator(".mark:not(.gone):not(.dominated) .point").first().dispatchEvent("pointerover", { bubbles: true });
  expect(await page.locator("#board tr.lit").count() === 1, "a mark does not light its row");
  const faded = await page.$$eval(".mark.dominated:not(.gone):not(.lit)", (all) => all.map((mark) => getComputedStyle(mark).opacity));
  expect(faded.length === lane("defenses").filter((entry) => entry.utility && entry.dominated).length && faded.every((opacity) => opacity < 0.5), "dominated entries do not fade");
  // What is copied.
  const texts = await page.evaluate(() => Object.fromEntries(Object.entries(board.texts).map(([kind, text]) => [kind, text()])));
  const lines = lane("defenses").length;
  expect(texts.markdown.trim().split("\n").length === lines + 2, "Markdown has other lines");
  expect(texts.latex.includes("\\begin{tabular}") && !/[^\\]%/.test(texts.latex), "LaTeX is not escaped");
  expect(texts.csv.trim().split("\n").length === lines + 1, "CSV has other lines");
  expect(JSON.parse(texts.json).length === lines, "JSON has other entries");
  await close();
}

// Encoders stand side by side where a benchmark asks several, each value that of its entry.
{
  const { page, heard, close } = await open(`${url}#lane=encoders`);
  const encoders = (entries) => new Set(entries.map((entry) => entry.encoder)).size;
  const run = (entry) => [entry.benchmark, entry.submitter, entry.protocol, entry.dataset].join();
  const runs = [...new Set(lane("attacks").map(run))].map((name) => lane("attacks").filter((entry) => run(entry) === name));
  const several = runs.filter((entries) => encoders(entries) > 1);
  const tables = await page.$$eval("#pivot table", (all) => all.map((one) => one.querySelectorAll("thead th").length - 1));
  expect(several.length > 0 && tables.toSorted().join() === several.map(encoders).toSorted().join(), `${tables} encoders stand side by side`);
  const shown = await page.$$eval("#pivot td a", (all) => all.map((a) => `${a.getAttribute("href")} ${a.textContent}`));
  const own = several.flat().map((entry) => `${entry.page} ${entry.value[0].toFixed(2)}`);
  expect(shown.toSorted().join() === own.toSorted().join(), "values side by side are not those of the entries");
  await page.screenshot({ path: join(pictures, "leaderboard-encoders.png") });
  await page.fill("[name=search]", "no such thing");
  expect(!await page.isVisible("#pivot"), "nothing stands side by side with nothing");
  expect(heard.length === 0, `encoders are heard complaining: ${heard.join("; ")}`);
  await close();
}

// A page of an entry, by its permanent address, from disk.
{
  const entry = lane("defenses").find((one) => one.page !== "#");
  expect(existsSync(join(folder, entry.page)), `${entry.page} is not there`);
  const { page, heard, close } = await open(new URL(entry.page, fromDisk).href);
  const text = await page.textContent("main");
  for (const part of ["Where it stands", "Every value", "The attacker:", "The defender:", "Evidence and environment", "What was poisoned", "clean data", "Repeat it", "Verifications", entry.protocol]) {
    expect(text.includes(part), `the page of an entry lacks: ${part}`);
  }
  const links = await page.$$eval("main a, nav a", (all) => all.map((a) => a.href));
  for (const link of links.filter((link) => link.startsWith("file:"))) {
    // The served copy of the site has no results beside it; the repository has.
    if (!link.includes("/benchmarks/results/")) expect(existsSync(new URL(link.split("#")[0])), `a link to nothing: ${link}`);
  }
  const broken = await page.$$eval(".pairs img", (all) => all.filter((image) => !image.naturalWidth).length);
  expect(await page.locator(".pairs img").count() > 0 && broken === 0, `${broken} pictures of poisoned pairs do not show`);
  await page.click("[data-copy]");
  // Copying takes a moment; that it never ends is told below.
  await page.waitForFunction(() => document.querySelector("[data-copy]").textContent !== "Copy", null, { timeout: 10_000 }).catch(() => {});
  expect(["Copied", "Selected"].includes(await page.textContent("[data-copy]")), "the command cannot be copied");
  expect(heard.length === 0, `the page of an entry is heard complaining: ${heard.join("; ")}`);
  wrong.push(...await findings(page, packages));
  await page.screenshot({ path: join(pictures, "entry-light.png"), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(sideways <= 0, `the page of an entry scrolls sideways by ${sideways} px on a phone`);
  await page.screenshot({ path: join(pictures, "entry-phone.png"), fullPage: true });
  await close();
}

// How it looks, and what axe-core says to it.
for (const [name, options, hash] of [
  ["light", {}, "#lane=defenses"],
  ["dark", { colorScheme: "dark" }, ""],
  ["phone", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, "#lane=defenses"],
]) {
  const { page, close } = await open(url + hash, options);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(sideways <= 0, `${name}: the page scrolls sideways by ${sideways} px`);
  if (name === "phone") {
    const shown = await page.$$eval("#board tbody tr:first-child > *", (all) => all.filter((cell) => getComputedStyle(cell).display !== "none").map((cell) => cell.className.split(" ").pop()));
    expect(shown.length === 5, `a card shows ${shown}`);
  }
  for (const finding of await findings(page, packages)) wrong.push(`${name}: ${finding}`);
  await page.screenshot({ path: join(pictures, `leaderboard-${name}.png`), fullPage: name !== "phone" });
  await close();
}
{
  const { page, close } = await open(`${url}#lane=defenses`);
  await page.emulateMedia({ media: "print", colorScheme: "light" });
  await page.setViewportSize({ width: 1000, height: 1400 });
  await page.screenshot({ path: join(pictures, "leaderboard-print.png") });
  await close();
}
// Without scripts the table stands, and holds everything.
{
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  expect(await page.locator("#board tbody tr").count() === data.entries.length, "without scripts entries are missing");
  await context.close();
}

// A thousand entries: from a keystroke to the next frame.
{
  const { page, close } = await open(`${pathToFileURL(join(resolve(synthetic), "index.html")).href}#lane=all`);
  expect((await page.textContent("main")).includes("Synthetic entries."), "made-up entries do not say so");
  const measured = await page.evaluate(async () => {
    const field = document.querySelector("[name=search]");
    // What else runs on this machine delays some of them: the fastest of nine counts.
    const fastest = (act) => Math.min(...[1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => {
      const start = performance.now();
      act();
      // Asking for the layout makes it part of what is measured.
      document.body.offsetHeight;
      return performance.now() - start;
    }));
    const type = (text) => () => {
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const times = ["s", "sy", "syn", "synt", "synthetic-attack-1", "synthetic-attack-12", "", "defense-7", "9", ""].map((text) => fastest(type(text)));
    const head = document.querySelector("#board th[data-key=value] button");
    return { times, sort: fastest(() => head.click()), entries: board.entries.length };
  });
  const slowest = Math.max(...measured.times);
  console.log(`    ${measured.entries} entries: a keystroke takes ${slowest.toFixed(1)} ms at most (the fastest of nine), sorting ${measured.sort.toFixed(1)} ms`);
  // A machine with other work may be slow: the times are for people, the count is the test.
  expect(measured.entries === 1000, `${measured.entries} entries instead of 1000`);
  await close();
}

await browser.close();
for (const line of wrong) console.error(line);
console.log(`pictures: ${pictures}`);
process.exit(wrong.length ? 1 : 0);
