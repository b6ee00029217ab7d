// Where models run: in WebAssembly or on the graphics card, whichever is faster on this machine. That is measured, as a card
// does not always win; `?backend=wasm` and `?backend=webgpu` ask for one of them.
import { TOLERANCE } from "./page.js";
import { Gpu } from "./pkg/toxiclip_wasm.js";

const RUNS = 5;
const WANTED = new URLSearchParams(location.search).get("backend");

const towers = new Map();
const readers = new Map();
let gpu = null;
let reason = "";
let name = "";

/** Milliseconds of the median run, after one that warms up; the first that takes longer than `limit` ends it. */
async function timed(run, runs, limit = Infinity) {
  await run();
  const took = [];
  for (let i = 0; i < runs && !(took[i - 1] > limit); i += 1) {
    const start = performance.now();
    await run();
    took.push(performance.now() - start);
  }
  return took.sort((a, b) => a - b)[took.length >> 1];
}

/** What the browser tells of the card. */
export async function adapter() {
  const info = (await navigator.gpu.requestAdapter())?.info ?? {};
  return [info.vendor, info.architecture, info.description].filter(Boolean).join(" ") || "an unnamed card";
}

const times = (ms) => `${ms.toFixed(1)} ms`;

/** Chooses by one model and picture, before any answer is shown; `runs` are few for a model that takes its time. */
export async function choose(model, { rgba, width, height }, runs = RUNS) {
  if (WANTED === "wasm") { reason = "asked for"; return; }
  if (!navigator.gpu) { reason = "this browser has no WebGPU"; return; }
  let opened;
  try {
    opened = await Gpu.open();
    name = await adapter();
    const tower = await model.compile(opened);
    const here = await timed(() => model.answer(rgba, width, height), runs);
    // A card that is this much slower once is not asked again, as a drawn-out measurement is what a visitor would notice.
    const card = await timed(() => model.answer_on(tower, rgba, width, height), runs, WANTED ? Infinity : 4 * here + 20);
    tower.free();
    if (WANTED === "webgpu" || card < here) {
      gpu = opened;
      reason = `${times(card)} against ${times(here)} in WebAssembly`;
    } else {
      opened.destroy();
      reason = `${times(here)} against ${times(card)} on ${name}`;
    }
  } catch (error) {
    opened?.destroy();
    reason = `WebGPU fails: ${error.message ?? error}`;
  }
}

/** WebAssembly from now on. */
export function fallBack(why) {
  towers.clear();
  readers.clear();
  gpu?.destroy();
  gpu = null;
  reason = why;
}

/** The probability of each class. */
export async function answer(id, model, { rgba, width, height }) {
  if (!gpu) return model.answer(rgba, width, height);
  if (!towers.has(id)) towers.set(id, model.compile(gpu));
  return model.answer_on(await towers.get(id), rgba, width, height);
}

/** The same; a card that fails is left for good. */
export async function surely(id, model, picture) {
  try {
    return await answer(id, model, picture);
  } catch (error) {
    if (!gpu) throw error;
    fallBack(`the graphics card gave up: ${error.message ?? error}`);
    return answer(id, model, picture);
  }
}

/** Unit vectors of texts, from the card where that gives the same as this machine, and where they come from. */
export async function vectors(id, model, texts) {
  const { tower, why } = gpu ? await (readers.get(id) ?? read(id, model, texts[0])) : {};
  if (!tower) return { units: model.embed(texts), from: why ? `WebAssembly (${why})` : "WebAssembly" };
  try {
    return { units: await model.embed_on(tower, texts), from: "WebGPU" };
  } catch (error) {
    fallBack(`the graphics card gave up: ${error.message ?? error}`);
    return vectors(id, model, texts);
  }
}

/** A text tower on the card, compared by one text, or why it is not there. */
function read(id, model, text) {
  readers.set(id, (async () => {
    try {
      const tower = await model.compile_text(gpu);
      const [card, here] = [await model.embed_on(tower, [text]), model.embed([text])];
      if (here.every((x, i) => Math.abs(x - card[i]) <= TOLERANCE)) return { tower };
      tower.free();
      return { why: "the graphics card computes other texts" };
    } catch (error) {
      return { why: `the graphics card does not read texts: ${error.message ?? error}` };
    }
  })());
  return readers.get(id);
}

/** Whether answers come from the card. */
export const onCard = () => gpu !== null;
/** Where, and why there. */
export const described = () => `${gpu ? `WebGPU, ${name}` : "WebAssembly"} on this machine (${reason})`;
/** For tests: what a driver does that crashes. */
export const lose = () => gpu?.destroy();
