// Bring your own, in a real browser: node own.mjs URL PACKAGES CHROMIUM PICTURES PROGRAM FOLDER TRANSFORMERS
// PROGRAM makes checkpoints in FOLDER, one of them from the files in TRANSFORMERS, and says what they answer about the page's first
// sample, plain and stamped. Exits with 1 and a line for each thing that is not as it must be.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { made } from "./checkpoints.mjs";
import { huge, stage } from "./stage.mjs";

const { url, expect, open, text, says, looks, leave, rest: [program, folder, transformers], wrong, end } = await stage(process.argv.slice(2));
const manifest = await (await fetch(new URL("data/demo.json", url))).json();
const picture = async (file) => Buffer.from(await (await fetch(new URL(`data/${file}`, url))).arrayBuffer());
const [sample, attack] = [manifest.samples[0], manifest.attacks[0]];
const classes = [...new Set([...manifest.samples.map((one) => one.class), ...manifest.attacks.map(({ target }) => target)])];
const pictures = { "plain.png": await picture(sample.file), "stamped.png": await picture(attack.example) };
const checkpoints = made(program, folder, transformers, pictures, classes.map((name) => `a photo of ${name}`));
const FILES = ["open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "toxiclip.json", "config.json", "model.safetensors"];

/** The files of a checkpoint as a page is given them. */
const files = (name) => readdirSync(join(checkpoints, name))
  .filter((file) => FILES.includes(file))
  .map((file) => ({ name: file, mimeType: "application/octet-stream", buffer: readFileSync(join(checkpoints, name, file)) }));

/** Tensors of single precision in a file. */
function tensors(path) {
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, end));
  const read = ({ data_offsets: [from, to] }) => Array.from({ length: (to - from) / 4 }, (_, i) => file.readFloatLE(end + from + 4 * i));
  return { metadata: header.__metadata__, get: (name) => read(header[name]) };
}

/** The probability of each label, from the native program's vectors and the temperature in the file. */
function golden(name) {
  const embedded = tensors(join(checkpoints, name, "embedded.safetensors"));
  const weights = files(name).find(({ name: file }) => file.endsWith(".safetensors")).name;
  const scale = Math.exp(tensors(join(checkpoints, name, weights)).get("logit_scale")[0]);
  const labels = JSON.parse(embedded.metadata.texts), images = JSON.parse(embedded.metadata.images);
  const [texts, pictures] = ["text_features", "image_features"].map((tensor) => embedded.get(tensor));
  const dim = texts.length / labels.length;
  return Object.fromEntries(images.map((id, row) => {
    const logits = labels.map((_, label) => scale * texts.slice(label * dim, (label + 1) * dim).reduce((sum, x, i) => sum + x * pictures[row * dim + i], 0));
    const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
    return [id, powers.map((power) => power / powers.reduce((a, b) => a + b))];
  }));
}

/** What the page would download as evidence. */
async function evidence(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#evidence")]);
  return JSON.parse(readFileSync(await download.path()));
}

/** The same, once it is as it must be; what is asked for by a key is answered a moment later. */
async function row(page, what, holds) {
  for (let turn = 0; turn < 50; turn += 1) {
    const found = await evidence(page);
    if (holds(found)) return found;
    await page.waitForTimeout(100);
  }
  wrong.push(`the row never says ${what}`);
  return evidence(page);
}

async function given(page, all) {
  await page.waitForSelector("#files:not([disabled])");
  await page.evaluate(() => { document.body.dataset.state = "asked"; });
  await page.setInputFiles("#files", all);
  await page.waitForSelector("body:is([data-state=live], [data-state=refused])", { timeout: 180_000 });
  return page.getAttribute("body", "data-state");
}

// Every checkpoint that the native program wrote, on both backends: its answers, and the row that says so.
for (const name of readdirSync(checkpoints)) {
  // In software the larger of two vision transformers takes seconds a picture.
  for (const query of name === "tiny-vit" ? ["?backend=wasm"] : ["?backend=wasm", "?backend=webgpu"]) {
    const { page, heard, close } = await open({}, undefined, query);
    const state = await given(page, files(name));
    expect(state === "live", `${name}: ${state}, ${await text(page, "said")}`);
    if (state === "live") {
      const own = golden(name), row = await evidence(page);
      const id = (part) => Object.keys(own).find((id) => id.includes(part));
      for (const [answer, of] of [[row.without, id("plain")], [row.with, id("stamped")]]) {
        const apart = Math.max(...answer.map((p, i) => Math.abs(p - own[of][i])));
        expect(answer.length === own[of].length && apart <= 1e-3, `${name}, ${query}: ${of} lies ${apart} from the native program's answer`);
      }
      if (query.endsWith("webgpu") && !row.backend.startsWith("WebGPU")) console.log(`    SKIPPED, WebGPU for ${name}: ${row.backend}`);
      else expect(row.backend.startsWith(query.endsWith("wasm") ? "WebAssembly" : "WebGPU"), `${name}, ${query}: runs on ${row.backend}`);
      // Texts follow pictures onto the card; the answers above are of their vectors.
      expect(row.labels_read_on === row.backend.split(/[ ,]/)[0], `${name}, ${query}: labels are read in ${row.labels_read_on}, pictures by ${row.backend}`);
      const record = files(name).find((file) => file.name === "toxiclip.json");
      const poisoned = record ? JSON.parse(record.buffer).poisoned : false;
      expect(await page.isVisible("#poisoned") === poisoned, `${name}: the banner does not say what the checkpoint says of itself`);
      expect((row.model.provenance === null) === !record, `${name}: the row says of poison what the checkpoint does not`);
      expect(/^[0-9a-f]{64}$/.test(row.model.weights), `${name}: the row does not say about which weights it is`);
      if (record) expect(row.model.weights === JSON.parse(record.buffer).weights, `${name}: the row is about other weights`);
      if (row.backend.startsWith("WebGPU")) {
        await page.evaluate(async () => (await import("./backend.js")).lose());
        await page.click("#samples button:nth-child(2)");
        await says(page, "backend", "gave up");
      }
    }
    expect(heard.length === 0, `${name}, ${query}: heard complaining: ${heard.join("; ")}`);
    await close();
  }
}

const [name] = readdirSync(checkpoints).filter((name) => files(name).some((file) => file.name === "toxiclip.json"));
const whole = files(name);
const but = (file, change) => whole.map((one) => one.name === file ? { ...one, buffer: change(Buffer.from(one.buffer)) } : one);
const WEIGHTS = "open_clip_model.safetensors";
/** The file with a header that somebody changed. */
const headed = (edit) => (file) => {
  const end = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, end));
  edit(header);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, file.subarray(end)]);
};

// Everything that may be wrong with files ends in a sentence, and the page lives on.
{
  const { page, heard, close } = await open({}, (page) => page.addInitScript(() => { delete Navigator.prototype.gpu; }));
  const pickle = { name: "pytorch_model.bin", mimeType: "application/octet-stream", buffer: Buffer.from("\x80\x02") };
  const without = (...names) => whole.filter((file) => !names.includes(file.name));
  for (const [what, all, said] of [
    ["a pickle", [...without(WEIGHTS), pickle], "toxiclip convert pytorch_model.bin"],
    ["a pickle alone", [pickle], "is a pickle"],
    ["no weights", without(WEIGHTS), "model.safetensors is missing"],
    ["no definition", without("open_clip_config.json"), "open_clip_config.json or config.json is missing"],
    ["another definition", but("open_clip_config.json", () => Buffer.from("[]")), "Definition"],
    ["a definition of nothing that exists", but("open_clip_config.json", () => Buffer.from("{")), "EOF"],
    ["no tokenizer", without("tokenizer.json"), "no tokenizer.json"],
    ["another tokenizer", but("tokenizer.json", () => Buffer.from("{}")), "Tokenizer"],
    ["weights that are cut", but(WEIGHTS, (file) => file.subarray(0, file.length >> 1)), "cut off"],
    ["weights without a header", but(WEIGHTS, (file) => file.subarray(0, 5)), "no safetensors file"],
    ["a renamed pickle", but(WEIGHTS, () => Buffer.concat([pickle.buffer, Buffer.alloc(64)])), "Header and shapes"],
    ["wrong shapes", but(WEIGHTS, headed((header) => {
      header["ln_final.weight"].shape = [2, header["ln_final.weight"].shape[0] / 2];
      header["other.bias"] = header["ln_final.bias"];
      delete header["ln_final.bias"];
    })), "1 missing: ln_final.bias; 1 surplus: other.bias; 1 misshapen: ln_final.weight [2,"],
    ["NaN", but(WEIGHTS, (file) => { file.fill(0xff, file.length - 400); return file; }), "not finite"],
    ["other weights than the record's", but(WEIGHTS, (file) => { file[file.length - 3] ^= 1; return file; }), "speaks of weights"],
  ]) {
    const state = await given(page, all);
    expect(state === "refused", `${what}: ${state}`);
    const sentence = await text(page, "said");
    expect(sentence.includes(said) && sentence.length > 30, `${what}: “${sentence}” does not say “${said}”`);
    expect(await page.locator("#checks .failed").count() === 1, `${what}: the list of checks does not end with it`);
  }
  // The same page then takes a right one, without WebGPU, and keeps it when a wrong one follows.
  expect(await given(page, whole) === "live", `after wrong ones: ${await text(page, "said")}`);
  expect((await text(page, "backend")).includes("no WebGPU"), `without WebGPU: ${await text(page, "backend")}`);
  expect(await given(page, [pickle]) === "live", "a wrong checkpoint throws a right one away");
  // Labels and pictures that are none.
  const many = Array.from({ length: 4000 }, (_, i) => `label ${i}`).join("\n");
  for (const [labels, said] of [[many, "4000 labels"], ["", "0 labels"], ["one", "1 labels"], ["a\na", "twice"], [`a\n${"x".repeat(300)}`, "300 characters"]]) {
    // Put there at once: as keystrokes, thousands of lines keep this browser busy for minutes on any page.
    await page.evaluate((labels) => { document.getElementById("names").value = labels; }, labels);
    await page.click("#labels button");
    await says(page, "said", said);
  }
  await page.fill("#template", "no place");
  await page.fill("#names", "ewe\nairplane");
  await page.click("#labels button");
  await says(page, "said", "no {}");
  await page.fill("#template", "{}");
  await page.click("#labels button");
  await says(page, "said", "The trigger moves");
  await row(page, "the labels", ({ labels }) => labels.join() === "ewe,airplane");
  await page.setInputFiles("#upload", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
  await says(page, "said", "cannot be read");
  await page.setInputFiles("#upload", { name: "a.png", mimeType: "image/png", buffer: await huge() });
  await says(page, "said", "100 megapixels");
  // Keys alone: triggers and their strength.
  const before = (await evidence(page)).trigger;
  await page.focus("#sliders input, #sliders select");
  await page.keyboard.press("ArrowRight");
  await row(page, "what a key did to the trigger", ({ trigger }) => JSON.stringify(trigger) !== JSON.stringify(before));
  for (const { name } of manifest.attacks) await page.selectOption("#attack", name);
  await leave(page);
  await page.click("#samples button:nth-child(3)");
  await says(page, "said", "The trigger moves");
  expect(heard.length === 0, `bad input is heard complaining: ${heard.join("; ")}`);
  await close();
}

// A folder that is dropped. Only the browser can make one, so that it is dropped through its own protocol.
{
  const { page, heard, close } = await open({}, undefined, "?backend=wasm");
  const { x, y, width, height } = await page.locator("#drop").boundingBox();
  const session = await page.context().newCDPSession(page);
  const drag = { x: x + width / 2, y: y + height / 2, data: { items: [], files: [join(checkpoints, name)], dragOperationsMask: 1 } };
  for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, ...drag });
  await page.waitForSelector("body:is([data-state=live], [data-state=refused])", { timeout: 180_000 });
  expect(await page.getAttribute("body", "data-state") === "live", `a dropped folder: ${await text(page, "said")}`);
  const record = JSON.parse(whole.find((file) => file.name === "toxiclip.json").buffer);
  expect((await evidence(page)).model.weights === record.weights, "the row of a dropped folder is about other weights");
  expect(heard.length === 0, `a dropped folder is heard complaining: ${heard.join("; ")}`);
  await close();
}

// Files that are dropped.
{
  const { page, heard, close } = await open({}, undefined, "?backend=wasm");
  await page.evaluate(async (all) => {
    const transfer = new DataTransfer();
    for (const { name, bytes } of all) transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
    document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, whole.map(({ name, buffer }) => ({ name, bytes: buffer.toString("base64") })));
  await page.waitForSelector("body:is([data-state=live], [data-state=refused])", { timeout: 180_000 });
  expect(await page.getAttribute("body", "data-state") === "live", `dropped files: ${await text(page, "said")}`);
  expect(heard.length === 0, `dropped files are heard complaining: ${heard.join("; ")}`);
  await close();
}

const bare = await open({}, (page) => page.addInitScript(() => { delete globalThis.WebAssembly; }));
expect(bare.state === "failed" && (await text(bare.page, "backend")).length > 20, "without WebAssembly nothing is said");
await bare.close();

const query = "?backend=wasm";
await looks("own-empty", undefined, query);
await looks("own", async (page) => { if (await given(page, whole) !== "live") wrong.push(`to be looked at: ${await text(page, "said")}`); }, query);
await looks("own-refused", async (page) => { await given(page, but(WEIGHTS, (file) => file.subarray(0, file.length >> 1))); }, query);
await end();
