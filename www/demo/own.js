// Bring your own: a visitor's checkpoint, labels and picture, with and without a trigger. This file only shows; the model is read
// and run by the code of the native program.
import * as backend from "./backend.js";
import { show } from "./bars.js";
import { Refused, listed, read } from "./checkpoint.js";
import { $, TOLERANCE, breath, digest, element, fail, latest, manifest, meter, percent, reason } from "./page.js";
import { decoded, draw, offered, sample, samples } from "./picture.js";
import init, { labels } from "./pkg/toxiclip_wasm.js";
import { controls, stamped } from "./trigger.js";

const TOGETHER = 8;       // labels of one walk through the text tower
const LARGE = 100e6;      // bytes of weights from which a model is timed once
const state = { manifest: null, own: null, names: [], prompt: "", model: null, vectors: new Map(), picture: null, attack: null, trigger: null, turn: 0, reader: null, naming: Promise.resolve() };

const say = (text) => { $("said").textContent = text; };

/** The class that gains most by the trigger. */
const winner = (plain, triggered) => [...plain.keys()].reduce((most, at) => triggered[at] - plain[at] > triggered[most] - plain[most] ? at : most, 0);

function sentence(names, plain, triggered) {
  const best = (answer) => [...answer.keys()].reduce((most, at) => answer[at] > answer[most] ? at : most, 0);
  const [before, after, gains] = [best(plain), best(triggered), winner(plain, triggered)];
  const moved = `The trigger moves “${names[gains]}” from ${percent(plain[gains])} to ${percent(triggered[gains])}.`;
  return before === after
    ? `${moved} The answer stays “${names[before]}”.`
    : `${moved} The answer changes from “${names[before]}” to “${names[after]}”.`;
}

/** What was asked and answered: enough to repeat it. */
async function evidence({ own, model, names, picture, trigger, prompt, reader }, plain, triggered) {
  const { rgba, width, height, name } = picture;
  // What was found is shown before the digest of a large model is computed.
  await breath();
  if (own !== state.own || model !== state.model) return;
  const row = {
    task: "zero-shot",
    model: { ...JSON.parse(model.about()), weights: own.model.digest(), files: own.files.map((file) => ({ name: file.name, bytes: file.size })) },
    prompt,
    labels: names,
    picture: { name, width, height, sha256: await digest(rgba) },
    trigger,
    without: [...plain],
    with: [...triggered],
    backend: backend.described(),
    labels_read_on: reader,
    agent: navigator.userAgent,
  };
  URL.revokeObjectURL($("evidence").href);
  $("evidence").href = URL.createObjectURL(new Blob([JSON.stringify(row, null, 1)], { type: "application/json" }));
  $("evidence").hidden = false;
}

/** Asks the model twice; while it answers, at most one more question waits. */
const update = latest(async () => {
  if (!state.model || !state.picture) return;
  try {
    const start = performance.now();
    // A copy: while the model answers, the page may take another one, other labels or another picture.
    const asked = { ...state, trigger: structuredClone(state.trigger) };
    const { model, names, turn } = asked;
    const picture = stamped(asked.trigger, asked.picture);
    const plain = await backend.surely(turn, model, asked.picture);
    const triggered = await backend.surely(turn, model, picture);
    const took = (performance.now() - start) / 2;
    draw(picture);
    $("canvas").setAttribute("aria-label", `${asked.picture.name} with the trigger, as the model sees it`);
    const gains = winner(plain, triggered);
    show("plain", "without the trigger", names, plain, gains);
    show("stamped", "with the trigger", names, triggered, gains);
    say(sentence(names, plain, triggered));
    $("backend").textContent = `${backend.described()} · ${took.toFixed(1)} ms a picture. Nothing leaves this machine.`;
    await evidence(asked, plain, triggered);
  } catch (error) {
    say(`That did not work: ${reason(error)}.`);
  }
  $("progress").hidden = true;
});

/** Vectors of prompts, a few at a time; those that are known are not asked for again. */
async function embedded(prompts) {
  const fresh = prompts.filter((prompt) => !state.vectors.has(prompt));
  const progress = meter(Math.max(fresh.length, 1), "Reading labels");
  for (let at = 0; at < fresh.length; at += TOGETHER) {
    const part = fresh.slice(at, at + TOGETHER);
    const { units, from } = await backend.vectors(state.turn, state.own.model, part);
    const width = units.length / part.length;
    part.forEach((prompt, i) => state.vectors.set(prompt, units.slice(i * width, (i + 1) * width)));
    state.reader = from;
    progress(part.length);
    $("backend").textContent = `Labels read: ${Math.min(at + TOGETHER, fresh.length)} of ${fresh.length}, ${from}`;
    await breath();
  }
  const all = prompts.map((prompt) => state.vectors.get(prompt));
  const joined = new Float32Array(all.reduce((sum, vector) => sum + vector.length, 0));
  all.reduce((from, vector) => { joined.set(vector, from); return from + vector.length; }, 0);
  return joined;
}

/** The labels that were typed become the classes of the model; those that were typed before are read to their end first. */
function named() {
  state.naming = state.naming.catch(() => {}).then(name);
  return state.naming;
}

async function name() {
  const template = $("template").value;
  if (!template.includes("{}")) throw new Error("the prompt has no {} for the label");
  const names = labels($("names").value);
  const vectors = await embedded(names.map((name) => template.replaceAll("{}", name)));
  await adopt({ model: state.own.model.classifier(names, vectors), names, prompt: template });
}

/** Another model, or none, from the next question on; the old one is given back once nobody asks it any more. */
async function adopt(next) {
  const old = state.model;
  Object.assign(state, next);
  await update();
  old?.free();
}

/** Where the model runs, before its labels are read; on the card only if that answers alike. */
async function placed({ model, files }) {
  state.turn += 1;
  const trial = model.trial();
  const runs = files.some(({ size }) => size > LARGE) ? 1 : undefined;
  await backend.choose(trial, state.picture, runs);
  if (backend.onCard()) {
    const card = await backend.surely(state.turn, trial, state.picture);
    const here = trial.answer(state.picture.rgba, state.picture.width, state.picture.height);
    if (here.some((p, i) => !(Math.abs(p - card[i]) <= TOLERANCE))) backend.fallBack("the graphics card computes something else");
  }
  trial.free();
}

async function take(dropped) {
  if (state.reading) return say("One checkpoint is being read; wait for it.");
  state.reading = true;
  $("files").disabled = $("folder").disabled = true;
  try {
    const own = await read(await listed(dropped));
    // Nobody reads labels with a model that is given back.
    await state.naming.catch(() => {});
    await adopt({ model: null });
    state.own?.model.free();
    state.own = own;
    state.vectors.clear();
    backend.fallBack("not measured yet");
    $("lab").hidden = false;
    const { said } = own;
    $("poisoned").hidden = !said?.poisoned;
    $("poisoned").textContent = `These weights are poisoned on purpose (${said?.attack?.name ?? "unnamed attack"}): measure with them, use them for nothing else.`;
    await placed(own);
    await named();
    document.body.dataset.state = "live";
  } catch (error) {
    say(error instanceof Refused ? `This checkpoint is not read. ${reason(error)}` : `That did not work: ${reason(error)}.`);
    $("backend").textContent = state.model ? backend.described() : "No model is loaded.";
    document.body.dataset.state = state.model ? "live" : "refused";
  }
  $("progress").hidden = true;
  $("files").disabled = $("folder").disabled = false;
  state.reading = false;
}

/** Takes a picture that is on its way, or says why it cannot. */
async function pick(picture) {
  try {
    state.picture = await picture;
    await update();
  } catch (error) {
    say(reason(error));
  }
}

function choose(name) {
  state.attack = state.manifest.attacks.find((attack) => attack.name === name);
  state.trigger = structuredClone(state.attack.trigger);
  controls(state.trigger, update);
  update();
}

async function start() {
  state.manifest = await manifest("data/demo.json");
  const { attacks, samples: pictures } = state.manifest;
  for (const { name, summary } of attacks) $("attack").append(element("option", { value: name, title: summary }, name));
  $("attack").addEventListener("change", () => choose($("attack").value));
  $("names").value = [...new Set([...pictures.map((picture) => picture.class), ...attacks.map(({ target }) => target)])].join("\n");
  $("credits").textContent = `Drawings: ${[...new Set(pictures.map(({ credit }) => credit))].join(" · ")}.`;
  samples(pictures, (at) => pick(sample(pictures[at])));
  await init({ module_or_path: new URL("./pkg/toxiclip_wasm_bg.wasm", import.meta.url) });
  choose(attacks[0].name);
  state.picture = await sample(pictures[0]);
  offered((file) => pick(decoded(file, "yours", "your picture")), take);
  for (const id of ["files", "folder"]) {
    $(id).disabled = false;
    $(id).addEventListener("change", () => { if ($(id).files.length) take($(id).files); $(id).value = ""; });
  }
  $("labels").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (state.reading) return say("A checkpoint is being read; its labels come after it.");
    try {
      await named();
    } catch (error) {
      say(`These labels are not used: ${reason(error)}.`);
      $("progress").hidden = true;
    }
  });
  $("backend").textContent = "Waiting for a checkpoint.";
  document.body.dataset.state = "waiting";
}

start().catch((error) => fail(`This page cannot work: ${reason(error)}. \`cargo xtask www\` builds the site that it belongs to.`));
