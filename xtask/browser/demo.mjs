// The trigger playground in a real browser: node demo.mjs URL PACKAGES CHROMIUM PICTURES
// Exits with 1 and a line for each thing that is not as it must be.
import { join } from "node:path";
import { damaged, huge, stage } from "./stage.mjs";

const { url, browser, pictures, expect, open, text, says, looks, leave, end } = await stage(process.argv.slice(2));
const target = async (page, role) => Number(await page.getAttribute(`[data-model="${role}"]`, "data-target"));

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
await main.page.focus("#toggle");
await main.page.keyboard.press("Enter");
await main.page.waitForFunction(() => document.querySelector("#toggle").getAttribute("aria-pressed") === "false");
await says(main.page, "said", "Without");
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
await says(main.page, "said", "cannot be read");
await main.page.setInputFiles("#upload", { name: "a.png", mimeType: "image/png", buffer: await huge() });
await says(main.page, "said", "100 megapixels");
await leave(main.page);
await main.page.click("#samples button:nth-child(2)");
await says(main.page, "said", "trigger");
expect(main.heard.length === 0, `the main path is heard complaining: ${main.heard.join("; ")}`);
await main.close();

await looks("demo");

// A model that was changed on the way is asked for once more and never used.
let seen;
const broken = await open({}, async (page) => { seen = await damaged(page, "**/clean.bin"); });
expect(broken.state === "failed" && seen.asked === 2, `a damaged model: ${broken.state} after ${seen.asked} requests`);
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
    await says(page, "said", "Without");
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

await end();
