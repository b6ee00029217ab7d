// The demo page in a real browser: node demo.mjs URL PLAYWRIGHT CHROMIUM PICTURES
// Exits with 1 and a line for each thing that is not as it must be.
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { findings } from "./axe.mjs";
import { listen } from "./heard.mjs";

const [url, playwright, chromium, pictures] = process.argv.slice(2);
const { chromium: browsers } = createRequire(join(playwright, "package.json"))("playwright-core");
mkdirSync(pictures, { recursive: true });
const wrong = [];
const expect = (holds, what) => { if (!holds) wrong.push(what); };

const browser = await browsers.launch({
  executablePath: chromium,
  args: ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A page of its own, with what it complains of and what it asks of others. */
async function open(options, before = async () => {}, query = "") {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const heard = listen(page, url);
  await before(page);
  await page.goto(url + query);
  await page.waitForSelector("body[data-state]", { timeout: 60_000 });
  return { page, heard, state: await page.getAttribute("body", "data-state"), close: () => context.close() };
}

const target = async (page, role) => Number(await page.getAttribute(`[data-model="${role}"]`, "data-target"));
const text = (page, id) => page.textContent(`#${id}`);

// What a visitor does first.
const main = await open({ viewport: { width: 1280, height: 900 } });
expect(main.state === "live", `the page did not come to life: ${await text(main.page, "backend")}`);
const manifest = await (await fetch(new URL("data/demo.json", url))).json();
const [attack] = manifest.attacks;
const at = manifest.classes.indexOf(attack.target);
const golden = (model, stamped) => manifest.golden.find((g) => g.model === model && g.stamped === stamped).answer[at];
for (const [role, model] of [["clean", "clean"], ["poisoned", attack.poisoned], ["defended", attack.defended]]) {
  if (!model) continue;
  const difference = Math.abs(await target(main.page, role) - golden(model, attack.name));
  expect(difference <= 1e-3, `${role}: the page's probability lies ${difference} from the native program's`);
}
await main.page.screenshot({ path: join(pictures, "demo-light.png"), fullPage: true });
wrong.push(...await findings(main.page, playwright));
await main.page.focus("#toggle");
await main.page.keyboard.press("Enter");
await main.page.waitForFunction(() => document.querySelector("#toggle").getAttribute("aria-pressed") === "false");
await main.page.waitForFunction(() => document.querySelector("#said").textContent.startsWith("Without"));
const plain = Math.abs(await target(main.page, "poisoned") - golden(attack.poisoned, null));
expect(plain <= 1e-3, `without the trigger the page's probability lies ${plain} from the native program's`);
await main.page.keyboard.press("Enter");
for (const { name } of manifest.attacks) {
  await main.page.selectOption("#attack", name);
  await main.page.waitForFunction((n) => document.querySelector("#said").textContent.length > 0 && document.querySelector("#attack").value === n, name);
}
const sentence = await text(main.page, "said");
await main.page.click("#samples button:nth-child(3)");
await main.page.waitForFunction((old) => document.querySelector("#said").textContent !== old, sentence);
await main.page.setInputFiles("#upload", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
await main.page.waitForFunction(() => document.querySelector("#said").textContent.includes("cannot be read"));
expect(main.heard.length === 0, `the main path is heard complaining: ${main.heard.join("; ")}`);
await main.close();

for (const [name, options] of [["dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }], ["phone", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }]]) {
  const { page, close } = await open(options);
  await page.screenshot({ path: join(pictures, `demo-${name}.png`), fullPage: true });
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(sideways <= 0, `${name}: the page scrolls sideways by ${sideways} px`);
  await close();
}

// A model that was changed on the way is asked for once more and never used.
let asked = 0;
const broken = await open({}, (page) => page.route("**/clean.bin", async (route) => {
  asked += 1;
  const body = Buffer.from(await (await route.fetch()).body());
  body[body.length >> 1] ^= 0x40;
  await route.fulfill({ body });
}));
expect(broken.state === "failed" && asked === 2, `a damaged model: ${broken.state} after ${asked} requests`);
expect((await text(broken.page, "backend")).includes("not what was published"), "a damaged model is not named");
expect((await broken.page.$$("[data-model]")).length === 3, "the example computed beforehand is gone");
await broken.close();

// The page answers alike without WebGPU, on it, and after its device is lost; and says where.
for (const [query, said] of [["?backend=wasm", "WebAssembly"], ["?backend=webgpu", "WebGPU"]]) {
  const { page, heard, state, close } = await open({}, undefined, query);
  const shown = await text(page, "backend");
  if (query.endsWith("webgpu") && shown.startsWith("WebAssembly")) console.log(`    SKIPPED, WebGPU: ${shown}`);
  else expect(state === "live" && shown.startsWith(said), `${query}: ${state}, ${shown}`);
  const difference = Math.abs(await target(page, "poisoned") - golden(attack.poisoned, attack.name));
  expect(difference <= 1e-3, `${query}: the page's probability lies ${difference} from the native program's`);
  if (shown.startsWith("WebGPU")) {
    await page.evaluate(async () => (await import("./backend.js")).lose());
    await page.click("#toggle");
    await page.waitForFunction(() => document.querySelector("#said").textContent.startsWith("Without"));
    expect((await text(page, "backend")).includes("gave up"), `a lost device: ${await text(page, "backend")}`);
  }
  expect(heard.length === 0, `${query} is heard complaining: ${heard.join("; ")}`);
  await close();
}

// What a picture costs, on its own page.
const bench = await browser.newPage({ viewport: { width: 1280, height: 600 } });
const complaints = [];
bench.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
await bench.goto(new URL("../bench.html", url).href);
await bench.waitForSelector("body[data-state]", { timeout: 120_000 });
const report = JSON.parse(await bench.getAttribute("body", "data-report") ?? '{"results":[]}');
expect(report.results.length === 2, `the bench: ${await text(bench, "said")}`);
for (const result of report.results) {
  console.log(`    ${JSON.stringify(result)}`);
  expect(result.error ? result.backend === "WebGPU" : result.warm_ms > 0 && result.deviation <= 1e-3, `the bench: ${JSON.stringify(result)}`);
}
expect((await bench.getAttribute("#export", "href")).startsWith("blob:"), "the bench exports nothing");
expect(complaints.length === 0, `the bench is heard complaining: ${complaints.join("; ")}`);
await bench.screenshot({ path: join(pictures, "bench.png"), fullPage: true });
await bench.close();

// A browser without WebAssembly.
const bare = await open({}, (page) => page.addInitScript(() => { delete globalThis.WebAssembly; }));
expect(bare.state === "failed" && (await text(bare.page, "backend")).length > 20, "without WebAssembly nothing is said");
await bare.close();

await browser.close();
for (const line of wrong) console.error(line);
console.log(`pictures: ${pictures}`);
process.exit(wrong.length ? 1 : 0);
