// Poisoned retrieval in a real browser: node retrieval.mjs URL PACKAGES CHROMIUM PICTURES
// Exits with 1 and a line for each thing that is not as it must be.
import { damaged, stage } from "./stage.mjs";

const { url, expect, open, text, says, looks, leave, end } = await stage(process.argv.slice(2));
const manifest = await (await fetch(new URL("data/retrieval/retrieval.json", url))).json();
const [goal] = manifest.goals;
const roles = [["clean", "clean"], ["poisoned", goal.poisoned], ["defended", goal.defended]].filter(([, id]) => id);
const rank = async (page, role) => Number(await page.getAttribute(`[data-model="${role}"]`, "data-rank"));
const shown = (page, role) => page.$$eval(`[data-model="${role}"] .pictures img`, (all) => all.map((image) => Number(/picture-(\d+)/.exec(image.src)[1])));

// What a visitor sees first is what the native program answers, and stays when models have come.
const main = await open({ viewport: { width: 1280, height: 900 } });
const { page } = main;
expect(main.state === "live", `the page did not come to life: ${await text(page, "backend")}`);
await page.selectOption("#count", "10");
await page.waitForFunction(() => document.querySelectorAll("[data-model=clean] .pictures li").length === 10);
for (const [role, id] of roles) {
  const { rank: published, top } = goal.golden[id];
  expect(await rank(page, role) === published, `${role}: rank ${await rank(page, role)}, natively ${published}`);
  expect(JSON.stringify(await shown(page, role)) === JSON.stringify(top), `${role}: shows ${await shown(page, role)}, natively ${top}`);
  const marked = await page.locator(`[data-model="${role}"] .pictures li.target`, { hasText: "target" }).count();
  expect(marked === top.filter((item) => goal.targets.includes(item)).length, `${role}: ${marked} pictures are marked`);
}
// Similarities of all models and goals, and token ids, by the module itself.
const apart = await page.evaluate(async (manifest) => {
  const { Retriever } = await import("./pkg/toxiclip_wasm.js");
  const load = async (file) => (await fetch(`data/retrieval/${file}`)).arrayBuffer();
  const tokenizer = new TextDecoder().decode(await load(manifest.tokenizer.file));
  let most = 0, answers = 0;
  for (const { id, file } of manifest.models) {
    const model = new Retriever(new Uint8Array(await load(file)), tokenizer);
    if (JSON.parse(model.about()).provenance.poisoned !== (id !== "clean")) return `${id} does not say whether it is poisoned`;
    for (const { captions, example, golden } of manifest.goals.filter((goal) => goal.golden[id])) {
      const scores = model.similarities(captions[example].text);
      for (const [i, item] of golden[id].top.entries()) most = Math.max(most, Math.abs(scores[item] - golden[id].scores[i]));
      answers += 1;
    }
    for (const { text, ids } of manifest.tokens) {
      if (String(model.tokens(text)) !== String(ids)) return `${id}: other tokens of ${JSON.stringify(text)}`;
    }
    model.free();
  }
  return { most, answers };
}, manifest);
expect(apart.most <= 1e-3 && apart.answers >= roles.length, `similarities: ${JSON.stringify(apart)}`);
console.log(`    similarities lie ${apart.most} from the native program's at most, ${apart.answers} answers`);

// Another caption of the list, words of one's own by keyboard alone, the other goals; the sentence says each.
const other = (goal.example + 7) % goal.captions.length;
await page.selectOption("#caption", String(other));
await says(page, "said", goal.captions[other].text);
await page.focus("#typed");
await page.keyboard.type("Ünïcödé 日本 🦊 <|endoftext|>");
await page.keyboard.press("Enter");
await says(page, "said", "日本 🦊 <|endoftext|>");
for (const empty of ["", "   "]) {
  await page.fill("#typed", "a ewe");
  await page.keyboard.press("Enter");
  await says(page, "said", "“a ewe”");
  await page.fill("#typed", empty);
  await page.keyboard.press("Enter");
  await says(page, "said", "empty caption");
}
// As long as the field lets in, and longer than any row of tokens.
await page.fill("#typed", "airplane ".repeat(33));
await page.keyboard.press("Enter");
await says(page, "said", "airplane airplane");
for (const at of manifest.goals.keys()) {
  await page.selectOption("#goal", String(at));
  await says(page, "said", manifest.goals[at].captions[manifest.goals[at].example].text);
}
await page.selectOption("#goal", "0");
await page.focus("#pairs summary");
await page.keyboard.press("Enter");
const pairs = await page.$$eval("#pairs li", (all) => all.map((item) => [item.querySelector("del").textContent, item.querySelector("ins").textContent]));
expect(pairs.length === goal.seen.length && pairs.length > 0 && pairs.every(([old, now]) => old && now && old !== now), `poisoned pairs: ${JSON.stringify(pairs)}`);
expect((await page.textContent("#pairs summary")).startsWith(`${goal.changed} of`), "it is not said how many pairs were changed");
await leave(page);
await page.selectOption("#caption", "0");
await says(page, "said", goal.captions[0].text);
const broken = await page.$$eval("img", (all) => all.filter((image) => image.complete && !image.naturalWidth).map((image) => image.src));
expect(broken.length === 0, `pictures that are not there: ${broken}`);
expect(main.heard.length === 0, `the main path is heard complaining: ${main.heard.join("; ")}`);
await main.close();

// The first paint needs no model.
const early = await open({}, (page) => page.route("**/*.bin", (route) => route.abort()));
expect(early.state === "failed", `without models the page is ${early.state}`);
for (const [role, id] of roles) expect(await rank(early.page, role) === goal.golden[id].rank, `${role}: the finished example is another`);
expect((await text(early.page, "backend")).includes("computed beforehand"), "it is not said what is left");
await early.close();

// What was changed on the way is asked for once more and never used.
for (const file of ["clean.bin", "tokenizer.json"]) {
  let seen;
  const { page, state, close } = await open({}, async (page) => { seen = await damaged(page, `**/retrieval/${file}`); });
  expect(state === "failed" && seen.asked === 2, `a damaged ${file}: ${state} after ${seen.asked} requests`);
  expect((await text(page, "backend")).includes("not what was published"), `a damaged ${file} is not named`);
  await close();
}

// Answers of another program are refused, however right the files are.
const changed = async (page) => page.route("**/retrieval.json", async (route) => {
  const other = structuredClone(manifest);
  other.goals[0].golden.clean.scores[0] += 0.01;
  await route.fulfill({ json: other });
});
const refused = await open({}, changed);
expect(refused.state === "failed" && (await text(refused.page, "backend")).includes("something else than the native program"), `another answer: ${await text(refused.page, "backend")}`);
await refused.close();

// Neither WebGPU nor, of course, a browser without WebAssembly.
const plain = await open({}, (page) => page.addInitScript(() => { delete Navigator.prototype.gpu; }));
expect(plain.state === "live" && await rank(plain.page, "poisoned") === goal.golden[goal.poisoned].rank, `without WebGPU: ${plain.state}`);
expect(plain.heard.length === 0, `without WebGPU it is heard complaining: ${plain.heard.join("; ")}`);
await plain.close();
const bare = await open({}, (page) => page.addInitScript(() => { delete globalThis.WebAssembly; }));
expect(bare.state === "failed" && (await text(bare.page, "backend")).length > 20, "without WebAssembly nothing is said");
await bare.close();

await looks("retrieval", async (page) => {
  await page.click("#pairs summary");
  await page.waitForFunction(() => [...document.images].every((image) => image.complete));
});
await end();
