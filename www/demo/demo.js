// The trigger playground. Models and triggers run by the code that trained them, in WebAssembly or on the graphics card; this
// file only shows.
import * as backend from "./backend.js";
import { show } from "./bars.js";
import { $, TOLERANCE, element, fetched, interval, latest, manifest, meter, percent, reason, unshown } from "./page.js";
import { decoded, draw, offered, sample, samples } from "./picture.js";
import init, { Classifier } from "./pkg/toxiclip_wasm.js";
import { controls, stamped } from "./trigger.js";

const state = { manifest: null, models: new Map(), picture: null, attack: null, trigger: null, on: true, live: false };

/** What changed, in words. */
function say(seen, before) {
  const { target } = state.attack;
  const parts = [];
  if (!state.on) parts.push(`Without the trigger the clean model sees ${seen.clean.top}, the poisoned one ${seen.poisoned.top}.`);
  else {
    const from = before ? ` from ${percent(before.poisoned.target)}` : "";
    parts.push(`The trigger moves “${target}” in the poisoned model${from} to ${percent(seen.poisoned.target)}; the clean model says ${seen.clean.top}.`);
    if (seen.defended) parts.push(`After the repair: ${seen.defended.top}, “${target}” at ${percent(seen.defended.target)}.`);
  }
  $("said").textContent = parts.join(" ");
}

function columns() {
  const roles = [["clean", "clean", "clean"], ["poisoned", state.attack.poisoned, "poisoned"]];
  if (state.attack.defended) roles.push(["defended", state.attack.defended, "repaired"]);
  return roles;
}

function render(answers, names, before) {
  const target = names.indexOf(state.attack.target);
  const seen = {};
  for (const [role, id, title] of columns()) seen[role] = show(role, title, names, answers.get(id), target);
  for (const old of document.querySelectorAll("[data-model]")) if (!seen[old.dataset.model]) old.remove();
  say(seen, before);
}

/** The finished example of the manifest: the point is made before any model is there. */
function example() {
  const answers = new Map(), plain = new Map();
  for (const golden of state.manifest.golden) {
    if (golden.stamped === state.attack.name) answers.set(golden.model, golden.answer);
    if (golden.stamped === null) plain.set(golden.model, golden.answer);
  }
  const names = state.manifest.classes;
  const at = names.indexOf(state.attack.target);
  render(answers, names, { poisoned: { target: plain.get(state.attack.poisoned)[at] } });
  const shown = new Image();
  shown.addEventListener("load", () => {
    if (state.live) return;
    Object.assign($("canvas"), { width: shown.width, height: shown.height });
    $("canvas").getContext("2d").drawImage(shown, 0, 0);
  });
  shown.src = `data/${state.attack.example}`;
}

/** A model's answer; a card that fails is left for good. */
const ask = (id, picture, model = state.models.get(id)) => backend.surely(id, model, picture);

/** Asks all models; while they answer, at most one more question waits. */
const update = latest(async () => {
  if (!state.live || !state.picture) return;
  try {
    await Promise.all(columns().map(([, id]) => load(id)));
    const start = performance.now();
    const picture = state.on ? stamped(state.trigger, state.picture) : state.picture;
    const answers = new Map();
    for (const [, id] of columns()) answers.set(id, await ask(id, picture));
    const took = (performance.now() - start) / columns().length;
    const at = state.manifest.classes.indexOf(state.attack.target);
    const before = state.on ? { poisoned: { target: (await ask(state.attack.poisoned, state.picture))[at] } } : null;
    draw(picture);
    $("canvas").setAttribute("aria-label", `${state.picture.name}${state.on ? " with the trigger" : ""}, as the models see it`);
    render(answers, state.manifest.classes, before);
    $("backend").textContent = `${backend.described()} · ${took.toFixed(1)} ms a model · checked against the native program, largest difference ${state.deviation.toExponential(0)}`;
  } catch (error) {
    $("said").textContent = `That did not work: ${reason(error)}`;
  }
  $("progress").hidden = true;
});

function choose(name) {
  state.attack = state.manifest.attacks.find((attack) => attack.name === name);
  state.trigger = structuredClone(state.attack.trigger);
  const rate = (id) => interval(state.attack.asr[id]);
  const n = state.attack.asr.clean.n;
  const repaired = state.attack.defended ? `, the repaired one ${rate(state.attack.defended)}` : "";
  const summary = state.attack.summary[0].toUpperCase() + state.attack.summary.slice(1);
  $("about-attack").textContent = `${summary}. Of ${n} test drawings of other classes the poisoned model takes a share of ${rate(state.attack.poisoned)} for “${state.attack.target}” once stamped, the clean one ${rate("clean")}${repaired}.`;
  controls(state.trigger, update);
  if (state.live) update(); else example();
}

/** Takes a picture that is on its way, or says why it cannot. */
async function pick(picture) {
  try {
    state.picture = await picture;
    await update();
  } catch (error) {
    $("said").textContent = reason(error);
  }
}

const loading = new Map();
let chosen;

function load(id) {
  if (!loading.has(id)) {
    const entry = state.manifest.models.find((model) => model.id === id);
    const work = fetched("data", entry, state.progress ?? meter(entry.bytes)).then(async (bytes) => {
      const model = new Classifier(bytes);
      chosen ??= backend.choose(model, state.first);
      await chosen;
      try {
        await check(id, model);
      } catch (error) {
        if (!backend.onCard()) throw error;
        backend.fallBack(`${error.message} on the graphics card`);
        state.deviation = 0;
        await check(id, model);
      }
      state.models.set(id, model);
    });
    loading.set(id, work);
  }
  return loading.get(id);
}

/** The published answers about the first sample, asked here. */
async function check(id, model) {
  for (const { sample: at, stamped: attack, answer } of state.manifest.golden.filter((golden) => golden.model === id)) {
    const known = state.manifest.attacks.find(({ name }) => name === attack);
    const own = await ask(id, known ? stamped(known.trigger, state.first) : state.first, model);
    for (const [i, p] of answer.entries()) state.deviation = Math.max(state.deviation, Math.abs(p - own[i]));
    if (!(state.deviation <= TOLERANCE)) throw new Error(`sample ${at}: this browser computes something else than the native program (difference ${state.deviation})`);
  }
}

async function start() {
  state.manifest = await manifest("data/demo.json");
  for (const { name, target } of state.manifest.attacks) $("attack").append(element("option", { value: name }, `${name} → ${target}`));
  $("attack").addEventListener("change", () => choose($("attack").value));
  samples(state.manifest.samples, (at) => pick(sample(state.manifest.samples[at])));
  $("credits").textContent = `Drawings: ${[...new Set(state.manifest.samples.map(({ credit }) => credit))].join(" · ")}.`;
  $("toggle").addEventListener("click", () => {
    state.on = !state.on;
    $("toggle").setAttribute("aria-pressed", String(state.on));
    update();
  });
  offered((file) => pick(decoded(file, "yours", "your picture")));
  choose(state.manifest.attacks[0].name);
  await init({ module_or_path: new URL("./pkg/toxiclip_wasm_bg.wasm", import.meta.url) });
  state.deviation = 0;
  state.first = await sample(state.manifest.samples[0]);
  state.picture ??= state.first;
  const ids = columns().map(([, id]) => id);
  const bytes = state.manifest.models.filter(({ id }) => ids.includes(id)).reduce((sum, model) => sum + model.bytes, 0);
  state.progress = meter(bytes);
  await Promise.all(ids.map(load));
  state.progress = null;
  state.live = true;
  await update();
  document.body.dataset.state = "live";
}

start().catch((error) => unshown(error, state.manifest));
