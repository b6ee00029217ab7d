// The trigger playground. Models and triggers run by the code that trained them, in WebAssembly or on the graphics card; this
// file only shows.
import * as backend from "./backend.js";
import init, { Classifier, stamp } from "./pkg/toxiclip_wasm.js";

const TOLERANCE = 1e-3;   // largest deviation from the native program that is shown at all
const BARS = 4;
const LARGEST = 40e6;     // pixels of a picture that is decoded
const SLIDERS = {         // what a visitor may change of a trigger, by its kind
  patch: [["size", "size, px at 224", 8, 112, 4], ["place", "place", ["corners", "top-left", "top-right", "bottom-left", "bottom-right", "center"]]],
  blend: [["alpha", "opacity", 0.02, 1, 0.02]],
  wave: [["delta", "amplitude, of 255", 0, 120, 5], ["frequency", "waves across the picture", 1, 16, 1]],
  warp: [["strength", "displacement, half pixels", 0, 12, 0.5]],
  frequency: [["magnitude", "added to a coefficient", 0, 3000, 50]],
};

const $ = (id) => document.getElementById(id);
const state = { manifest: null, models: new Map(), picture: null, attack: null, trigger: null, on: true, live: false, busy: false, again: false };

function element(tag, attributes = {}, text) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function fail(text) {
  $("backend").textContent = text;
  $("backend").className = "error";
  $("progress").hidden = true;
  document.body.dataset.state = "failed";
}

const percent = (p) => p >= 0.9995 ? "100 %" : p < 0.0005 ? "0 %" : `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`;

/** One column: the likeliest classes, and the target's whatever its rank. */
function show(id, role, title, names, answer, target) {
  const order = [...answer.keys()].sort((a, b) => answer[b] - answer[a]);
  const shown = order.slice(0, BARS);
  if (!shown.includes(target)) shown[BARS - 1] = target;
  let column = document.querySelector(`[data-model="${role}"]`);
  if (!column) {
    column = element("section", { class: `model ${role}`, "data-model": role });
    $("models").append(column);
  }
  column.replaceChildren(element("h2", {}, title));
  for (const at of shown) {
    const bar = element("div", { class: at === target ? "bar target" : "bar" });
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawing.setAttribute("viewBox", "0 0 100 8");
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("aria-hidden", "true");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("width", String(100 * answer[at]));
    rect.setAttribute("height", "8");
    drawing.append(rect);
    bar.append(element("b", {}, names[at]), element("span", {}, percent(answer[at])), drawing);
    column.append(bar);
  }
  column.dataset.top = names[order[0]];
  column.dataset.target = answer[target];
  return { top: names[order[0]], target: answer[target] };
}

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
  for (const [role, id, title] of columns()) seen[role] = show(id, role, title, names, answers.get(id), target);
  for (const old of document.querySelectorAll("[data-model]")) if (!seen[old.dataset.model]) old.remove();
  say(seen, before);
  return seen;
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

function draw(rgba, width, height) {
  const canvas = $("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
}

function stamped() {
  const { rgba, width, height, id } = state.picture;
  const out = stamp(JSON.stringify(state.trigger), rgba, width, height, id);
  const edge = Math.sqrt(out.length / 4);
  return { rgba: out, width: edge, height: edge };
}

/** A model's answer; a card that fails is left for good. */
async function ask(id, picture, model = state.models.get(id)) {
  try {
    return await backend.answer(id, model, picture);
  } catch (error) {
    if (!backend.onCard()) throw error;
    backend.fallBack(`the graphics card gave up: ${error.message ?? error}`);
    return ask(id, picture, model);
  }
}

/** Asks all models; while they answer, at most one more question waits. */
async function update() {
  if (!state.live || !state.picture) return;
  if (state.busy) { state.again = true; return; }
  state.busy = true;
  try {
    await Promise.all(columns().map(([, id]) => load(id)));
    const start = performance.now();
    const picture = state.on ? stamped() : state.picture;
    const answers = new Map();
    for (const [, id] of columns()) answers.set(id, await ask(id, picture));
    const took = (performance.now() - start) / columns().length;
    const at = state.manifest.classes.indexOf(state.attack.target);
    const before = state.on ? { poisoned: { target: (await ask(state.attack.poisoned, state.picture))[at] } } : null;
    draw(picture.rgba, picture.width, picture.height);
    $("canvas").setAttribute("aria-label", `${state.picture.name}${state.on ? " with the trigger" : ""}, as the models see it`);
    render(answers, state.manifest.classes, before);
    $("backend").textContent = `${backend.described()} · ${took.toFixed(1)} ms a model · checked against the native program, largest difference ${state.deviation.toExponential(0)}`;
  } catch (error) {
    $("said").textContent = `That did not work: ${error.message ?? error}`;
  }
  state.busy = false;
  if (state.again) { state.again = false; await update(); }
}

/** The trigger's own controls; a change is a change of its data, as they stand in armed.json. */
function controls() {
  const [kind] = Object.keys(state.trigger);
  const part = state.trigger[kind];
  const made = (SLIDERS[kind] ?? []).map(([key, text, from, to, step]) => {
    const label = element("label");
    let input;
    if (Array.isArray(from)) {
      input = element("select");
      for (const value of from) input.append(element("option", { value }, value));
      input.value = part[key];
    } else {
      input = element("input", { type: "range", min: from, max: to, step });
      input.value = part[key];
    }
    input.dataset.key = key;
    const named = () => Array.isArray(from) ? text : `${text}: ${part[key]}`;
    const value = element("span", {}, named());
    input.addEventListener("input", () => {
      part[key] = Array.isArray(from) ? input.value : Number(input.value);
      value.textContent = named();
      update();
    });
    label.append(value, input);
    return label;
  });
  $("sliders").replaceChildren(...made);
}

function choose(name) {
  state.attack = state.manifest.attacks.find((attack) => attack.name === name);
  state.trigger = structuredClone(state.attack.trigger);
  const rate = (id) => { const { value, lo, hi } = state.attack.asr[id]; return `${value.toFixed(2)} [${lo.toFixed(2)}, ${hi.toFixed(2)}]`; };
  const n = state.attack.asr.clean.n;
  const repaired = state.attack.defended ? `, the repaired one ${rate(state.attack.defended)}` : "";
  const summary = state.attack.summary[0].toUpperCase() + state.attack.summary.slice(1);
  $("about-attack").textContent = `${summary}. Of ${n} test drawings of other classes the poisoned model takes a share of ${rate(state.attack.poisoned)} for “${state.attack.target}” once stamped, the clean one ${rate("clean")}${repaired}.`;
  controls();
  if (state.live) update(); else example();
}

async function pick(source, id, name) {
  try {
    const bitmap = await createImageBitmap(source);
    if (bitmap.width * bitmap.height > LARGEST) throw new Error(`a picture of ${bitmap.width}×${bitmap.height} is too large`);
    // No encoder here sees more than this many pixels along an edge.
    const scale = Math.min(1, 512 / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    state.picture = { rgba: new Uint8Array(data.buffer), width, height, id, name };
    await update();
  } catch (error) {
    $("said").textContent = `This picture cannot be read (${error.message ?? error}); take a PNG, JPEG or WebP of at most 40 megapixels.`;
  }
}

async function sample(at) {
  const { file, id, class: name } = state.manifest.samples[at];
  for (const [i, button] of [...$("samples").children].entries()) button.setAttribute("aria-pressed", String(i === at));
  const response = await fetch(`data/${file}`);
  await pick(await response.blob(), id, name);
}

/** A model's bytes, with progress, by their hash: what is broken is asked for once more, and never used. */
async function fetched({ file, bytes, sha256 }, progress) {
  for (let attempt = 0; ; attempt += 1) {
    const response = await fetch(`data/${file}`, { cache: attempt ? "reload" : "default" });
    if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
    const reader = response.body.getReader(), parts = [];
    let have = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      have += part.value.length;
      progress(Math.min(1, have / bytes));
    }
    const whole = new Uint8Array(await new Blob(parts).arrayBuffer());
    // Browsers give hashes to pages of secure origins alone, this machine's own among them.
    const hash = crypto.subtle ? await crypto.subtle.digest("SHA-256", whole) : null;
    const hex = hash && [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (whole.length === bytes && (hex === null || hex === sha256)) return whole;
    if (attempt) throw new Error(`${file}: what was downloaded is not what was published`);
  }
}

const loading = new Map();
let chosen;

function load(id) {
  if (!loading.has(id)) {
    const entry = state.manifest.models.find((model) => model.id === id);
    const work = fetched(entry, (share) => { $("progress").value = share; }).then(async (bytes) => {
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
    const { rgba, width, height, id: name } = state.first;
    let picture = state.first;
    if (attack !== null) {
      const { trigger } = state.manifest.attacks.find((known) => known.name === attack);
      const out = stamp(JSON.stringify(trigger), rgba, width, height, name);
      const edge = Math.sqrt(out.length / 4);
      picture = { rgba: out, width: edge, height: edge };
    }
    const own = await ask(id, picture, model);
    for (const [i, p] of answer.entries()) state.deviation = Math.max(state.deviation, Math.abs(p - own[i]));
    if (!(state.deviation <= TOLERANCE)) throw new Error(`sample ${at}: this browser computes something else than the native program (difference ${state.deviation})`);
  }
}

async function start() {
  state.manifest = await (await fetch("data/demo.json")).json();
  for (const { name, target } of state.manifest.attacks) $("attack").append(element("option", { value: name }, `${name} → ${target}`));
  $("attack").addEventListener("change", () => choose($("attack").value));
  for (const [at, { file, class: name }] of state.manifest.samples.entries()) {
    const button = element("button", { type: "button", "aria-pressed": String(at === 0), "aria-label": name, title: name });
    button.append(element("img", { src: `data/${file}`, alt: "" }));
    button.addEventListener("click", () => sample(at));
    $("samples").append(button);
  }
  $("credits").textContent = `Drawings: ${[...new Set(state.manifest.samples.map(({ credit }) => credit))].join(" · ")}.`;
  $("toggle").addEventListener("click", () => {
    state.on = !state.on;
    $("toggle").setAttribute("aria-pressed", String(state.on));
    update();
  });
  $("upload").addEventListener("change", () => $("upload").files[0] && pick($("upload").files[0], "yours", "your picture"));
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) pick(file, "yours", "your picture");
  });
  document.addEventListener("dragover", (event) => { event.preventDefault(); $("canvas").classList.add("over"); });
  document.addEventListener("dragleave", () => $("canvas").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("canvas").classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) pick(file, "yours", "your picture");
  });
  choose(state.manifest.attacks[0].name);
  await init({ module_or_path: new URL("./pkg/toxiclip_wasm_bg.wasm", import.meta.url) });
  state.deviation = 0;
  await sample(0);
  state.first = state.picture;
  await Promise.all(columns().map(([, id]) => load(id)));
  state.live = true;
  $("progress").hidden = true;
  await update();
  document.body.dataset.state = "live";
}

start().catch((error) => {
  const remains = state.manifest ? "The example above was computed beforehand." : "`cargo xtask www` builds the site that they belong to.";
  fail(`The models cannot be shown: ${error.message ?? error}. ${remains}`);
});
