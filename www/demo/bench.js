// What a picture costs on each backend of this browser. The module's own start is measured once, as a page has it once.
import { adapter } from "./backend.js";
import init, { Classifier, Gpu } from "./pkg/toxiclip_wasm.js";

const RUNS = 25;
const $ = (id) => document.getElementById(id);

async function took(work) {
  const start = performance.now();
  const result = await work();
  return [performance.now() - start, result];
}

/** Milliseconds of getting ready, of the first picture and of the later ones; and the difference from the published answer. */
async function measure(backend, ready, ask, golden) {
  const [cold, state] = await took(ready);
  const [first, answer] = await took(() => ask(state));
  const warm = [];
  for (let run = 0; run < RUNS; run += 1) warm.push((await took(() => ask(state)))[0]);
  warm.sort((a, b) => a - b);
  const deviation = golden.reduce((most, p, i) => Math.max(most, Math.abs(p - answer[i])), 0);
  return { backend, ready_ms: cold, first_ms: first, warm_ms: warm[RUNS >> 1], slowest_ms: warm[RUNS - 1], runs: RUNS, deviation };
}

function row({ backend, ready_ms: cold, first_ms: first, warm_ms: warm, slowest_ms: slowest, deviation, error }) {
  const made = document.createElement("tr");
  const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text });
  const head = cell("th", backend);
  head.scope = "row";
  made.append(head);
  if (error) {
    made.append(Object.assign(cell("td", error), { colSpan: 5 }));
  } else {
    for (const ms of [cold, first, warm, slowest]) made.append(cell("td", ms.toFixed(1)));
    made.append(cell("td", deviation.toExponential(0)));
  }
  $("times").tBodies[0].append(made);
}

async function pixels(file) {
  const bitmap = await createImageBitmap(await (await fetch(`demo/data/${file}`)).blob());
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return [new Uint8Array(data.buffer), width, height];
}

async function run(module, manifest) {
  $("again").disabled = true;
  $("times").tBodies[0].replaceChildren();
  const [entry] = manifest.models;
  const golden = manifest.golden.find(({ model, stamped }) => model === entry.id && stamped === null);
  const bytes = new Uint8Array(await (await fetch(`demo/data/${entry.file}`)).arrayBuffer());
  const picture = await pixels(manifest.samples[golden.sample].file);
  const results = [await measure("WebAssembly", () => new Classifier(bytes), (model) => model.answer(...picture), golden.answer)];
  row(results[0]);
  let gpu;
  try {
    if (!navigator.gpu) throw new Error("this browser has none");
    const ready = async () => {
      gpu = await Gpu.open();
      const model = new Classifier(bytes);
      return { model, tower: await model.compile(gpu) };
    };
    results.push(await measure("WebGPU", ready, ({ model, tower }) => model.answer_on(tower, ...picture), golden.answer));
    results[1].adapter = await adapter();
  } catch (error) {
    results.push({ backend: "WebGPU", error: String(error.message ?? error) });
  }
  gpu?.destroy();
  row(results[1]);
  const [here, card] = results;
  const faster = card.error ? null : card.warm_ms < here.warm_ms ? [card, here] : [here, card];
  $("said").textContent = faster
    ? `${faster[0].backend} is ${(faster[1].warm_ms / faster[0].warm_ms).toFixed(1)} times as fast as ${faster[1].backend} on this machine.`
    : `WebAssembly takes ${here.warm_ms.toFixed(1)} ms a picture; WebGPU: ${card.error}.`;
  const report = { model: entry.id, module_ms: module, agent: navigator.userAgent, threads: navigator.hardwareConcurrency, results };
  URL.revokeObjectURL($("export").href);
  $("export").href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 1)], { type: "application/json" }));
  $("export").hidden = false;
  $("again").disabled = false;
  document.body.dataset.report = JSON.stringify(report);
  document.body.dataset.state = "done";
}

async function start() {
  const manifest = await (await fetch("demo/data/demo.json")).json();
  const [module] = await took(() => init({ module_or_path: new URL("./pkg/toxiclip_wasm_bg.wasm", import.meta.url) }));
  $("again").addEventListener("click", () => run(module, manifest));
  await run(module, manifest);
}

start().catch((error) => {
  $("said").textContent = `That did not work: ${error.message ?? error}. \`cargo xtask www\` builds the site that this page belongs to.`;
  document.body.dataset.state = "failed";
});
