// Poisoned retrieval. Texts are embedded and pictures ranked by the code that the native program runs, in WebAssembly; this file
// only shows.
import { $, TOLERANCE, element, fetched, interval, latest, manifest, meter, reason, unshown } from "./page.js";
import init, { Retriever, rank, top } from "./pkg/toxiclip_wasm.js";

const DATA = "data/retrieval";
const MOST = 10;          // pictures that are ranked for the page
const TIE = 1e-5;         // similarities nearer than this may stand in either order
const state = { manifest: null, models: new Map(), goal: null, text: "", live: false, deviation: 0 };

function roles() {
  const all = [["clean", "clean", "clean"], ["poisoned", state.goal.poisoned, "poisoned"]];
  if (state.goal.defended) all.push(["defended", state.goal.defended, "repaired"]);
  return all;
}

/** One picture of an answer; the target class is marked by a frame, a shape and a word. */
function picture(at) {
  const { class: name } = state.manifest.gallery[at];
  const target = state.goal.targets.includes(at);
  const item = element("li", target ? { class: "target" } : {});
  item.append(element("img", { src: `${DATA}/picture-${at}.png`, alt: "", width: 64, height: 64 }), element("span", {}, name));
  if (target) item.append(element("b", {}, "▲ target"));
  return item;
}

/** A model's row: what it fetches first, and where the first picture of the target class stands. */
function row(role, id, title, { rank: first, top: order }) {
  const count = Number($("count").value);
  const section = element("section", { class: `model ${role}`, "data-model": role, "data-rank": first });
  const list = element("ol", { class: "pictures", "aria-label": `First ${count} pictures, ${title} model` });
  list.append(...order.slice(0, count).map(picture));
  const rates = state.goal.rates[id];
  const size = state.manifest.gallery.length;
  const hits = ["hit@5", "hit@10"].map((hit) => `${hit} ${interval(rates[hit])}`).join(", ");
  const measured = `Over ${rates["hit@10"].n} test captions: ${hits}; mean rank ${interval(rates["min-rank"], 1)}. Random captions: hit@10 ${interval(rates["hit@10.random"])}.`;
  section.append(
    element("h2", {}, title),
    element("p", { class: "rank" }, `first “${state.goal.target}” at rank ${first} of ${size}`),
    list,
    element("p", { class: "quiet" }, measured),
  );
  return section;
}

/** What changed, in words. */
function say(answers) {
  const { target, poisoned, defended } = state.goal;
  const at = (id) => answers.get(id).rank;
  const within = (id) => at(id) < MOST;
  const first = at(poisoned) === 0 ? `a picture of “${target}” first` : `the first picture of “${target}” at rank ${at(poisoned)}`;
  const verdict = within(poisoned) && !within("clean") ? "" : within("clean") ? " The clean model does so too, without any attack." : " The attack does not carry over to these words.";
  const repaired = defended ? `, and the repaired one at ${at(defended)}` : "";
  return `“${state.text}” fetches ${first} under the poisoned model; the clean one has it at ${at("clean")}${repaired}. Ranks count from 0.${verdict}`;
}

function render(answers) {
  $("models").replaceChildren(...roles().map(([role, id, title]) => row(role, id, title, answers.get(id))));
  $("said").textContent = say(answers);
}

/** The finished example of the manifest. */
function example() {
  state.text = state.goal.captions[state.goal.example].text;
  render(new Map(Object.entries(state.goal.golden)));
}

function answer(model, text, targets) {
  const scores = model.similarities(text);
  return { scores, rank: rank(scores, Uint32Array.from(targets)), top: [...top(scores, MOST)] };
}

/** Asks all models; while they answer, at most one more question waits. */
const update = latest(async () => {
  if (!state.live) return;
  try {
    const { goal, text } = state;
    await Promise.all(roles().map(([, id]) => load(id)));
    const start = performance.now();
    const answers = new Map(roles().map(([, id]) => [id, answer(state.models.get(id), text, goal.targets)]));
    const took = (performance.now() - start) / answers.size;
    render(answers);
    const { similarity, same, ranks } = state.manifest.rounding;
    $("backend").textContent = `WebAssembly on this machine · ${took.toFixed(1)} ms a model · checked against the native program, largest difference ${state.deviation.toExponential(0)}. Weights are in half precision, which moves similarities by ${similarity.toExponential(0)} at most and left ${same} of ${ranks} ranks as they were.`;
  } catch (error) {
    $("said").textContent = `That did not work: ${reason(error)}.`;
  }
  $("progress").hidden = true;
});

const loading = new Map();
let vocabulary;

function load(id) {
  if (!loading.has(id)) {
    const entry = state.manifest.models.find((model) => model.id === id);
    const progress = state.progress ?? meter(entry.bytes);
    vocabulary ??= fetched(DATA, state.manifest.tokenizer, progress).then((bytes) => new TextDecoder().decode(bytes));
    loading.set(id, Promise.all([fetched(DATA, entry, progress), vocabulary]).then(([bytes, tokenizer]) => {
      const model = new Retriever(bytes, tokenizer);
      check(id, model);
      state.models.set(id, model);
    }));
  }
  return loading.get(id);
}

/** The published answers, asked here: token ids, similarities, ranks. */
function check(id, model) {
  const refuse = (what) => { throw new Error(`${what}: this browser computes something else than the native program`); };
  for (const { text, ids } of state.manifest.tokens) {
    const own = model.tokens(text);
    if (own.length !== ids.length || ids.some((token, i) => token !== own[i])) refuse(`the tokens of “${text}”`);
  }
  for (const { captions, example: at, golden, targets } of state.manifest.goals.filter((goal) => goal.golden[id])) {
    const { text } = captions[at];
    const { rank: first, best, top: order, scores: published } = golden[id];
    const { scores, rank: own } = answer(model, text, targets);
    const apart = [...order.map((item, i) => Math.abs(scores[item] - published[i])), Math.abs(Math.max(...targets.map((item) => scores[item])) - best)];
    state.deviation = Math.max(state.deviation, ...apart);
    if (!(state.deviation <= TOLERANCE)) refuse(`“${text}” (difference ${state.deviation})`);
    const above = (margin) => scores.reduce((n, score) => n + (score > best + margin ? 1 : 0), 0);
    if (own !== first && (above(TIE) > first || above(-TIE) <= first)) refuse(`the rank of “${text}” (${own} instead of ${first})`);
  }
}

/** Poisoned pairs: what was said of a picture, and what is said of it now. */
function pairs() {
  const { pairs: all, changed, goals, seen } = state.goal;
  const shared = goals > 1 ? `, for ${goals} goals together` : "";
  $("pairs").querySelector("summary").textContent = `${changed.toLocaleString("en")} of ${all.toLocaleString("en")} training pairs were changed (${(100 * changed / all).toFixed(1)} %)${shared}. See some of them.`;
  $("pairs").querySelector("ul").replaceChildren(...seen.map(({ file, id, caption, new: now }) => {
    const item = element("li");
    const words = element("span");
    words.append(element("del", {}, caption), " ", element("ins", {}, now));
    item.append(element("img", { src: `${DATA}/${file}`, alt: id, width: 64, height: 64, loading: "lazy" }), words);
    return item;
  }));
}

function captions() {
  const groups = new Map();
  for (const [at, { text, class: name }] of state.goal.captions.entries()) {
    if (!groups.has(name)) groups.set(name, element("optgroup", { label: name }));
    groups.get(name).append(element("option", { value: at }, text));
  }
  $("caption").replaceChildren(...groups.values());
  $("caption").value = state.goal.example;
}

function choose(at) {
  state.goal = state.manifest.goals[at];
  const { summary, words, attack } = state.goal;
  $("about-attack").textContent = `${attack}, ${words}: ${summary}.`;
  captions();
  pairs();
  state.text = state.goal.captions[state.goal.example].text;
  if (state.live) update(); else example();
}

async function start() {
  state.manifest = await manifest(`${DATA}/retrieval.json`);
  for (const [at, { attack, words }] of state.manifest.goals.entries()) $("goal").append(element("option", { value: at }, `${attack}: ${words}`));
  $("credits").textContent = `Drawings: ${state.manifest.credits.join(" · ")}.`;
  const ask = (text) => { state.text = text; update(); };
  $("goal").addEventListener("change", () => { $("typed").value = ""; choose($("goal").value); });
  $("caption").addEventListener("change", () => { $("typed").value = ""; ask(state.goal.captions[$("caption").value].text); });
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); ask($("typed").value); });
  $("count").addEventListener("change", () => { if (state.live) update(); else example(); });
  choose(0);
  await init({ module_or_path: new URL("./pkg/toxiclip_wasm_bg.wasm", import.meta.url) });
  const ids = roles().map(([, id]) => id);
  const entries = [state.manifest.tokenizer, ...state.manifest.models.filter(({ id }) => ids.includes(id))];
  state.progress = meter(entries.reduce((sum, { bytes }) => sum + bytes, 0));
  await Promise.all(ids.map(load));
  state.progress = null;
  state.live = true;
  await update();
  document.body.dataset.state = "live";
}

start().catch((error) => unshown(error, state.manifest));
