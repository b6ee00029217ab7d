// One turn of one program in a page of its own: from nothing to the first answer about a picture, and then again and again.
// The address says what: ?program=toxiclip|onnxruntime-web&backend=wasm|webgpu&threads=N&model=NAME&runs=N
const asked = new URLSearchParams(location.search);
const model = `models/${asked.get("model")}`;
const EDGE = 64;

/** The same picture for everybody: waves of colour, bytes of [EDGE][EDGE][R, G, B, A]. */
function picture() {
  const rgba = new Uint8Array(EDGE * EDGE * 4);
  for (let i = 0; i < EDGE * EDGE; i += 1) {
    const [x, y] = [i % EDGE, Math.floor(i / EDGE)];
    rgba.set([128 + 100 * Math.sin(x / 5), 128 + 100 * Math.cos(y / 7), 128 + 100 * Math.sin((x + y) / 9), 255], 4 * i);
  }
  return rgba;
}

/** Our module, compiled. */
async function module() {
  const wasm = await import("./pkg/toxiclip_wasm.js");
  await wasm.default({ module_or_path: new URL("pkg/toxiclip_wasm_bg.wasm", location.href) });
  return wasm;
}

const fetched = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());

/** A checkpoint as a visitor would bring it, with a class for each number of the embedding: the answer tells all of them. */
async function ours() {
  const wasm = await module();
  const text = (name) => fetch(`${model}/${name}`).then((answer) => answer.text());
  const intake = new wasm.Intake("open_clip_config.json", await text("open_clip_config.json"));
  intake.tokenizer(await fetched(`${model}/tokenizer.json`));
  const file = await fetched(`${model}/open_clip_model.safetensors`);
  intake.head(file.slice(0, wasm.head_end(file.slice(0, 8), file.length)), file.length, "open_clip_model.safetensors");
  for (let piece = intake.wanted(); piece; piece = intake.wanted()) intake.give(file.slice(...piece));
  const { config } = JSON.parse(intake.about());
  const width = config.embed_dim;
  const axes = new Float32Array(width * width);
  for (let i = 0; i < width; i += 1) axes[i * width + i] = 1;
  const classifier = intake.finish().classifier(Array.from({ length: width }, (_, i) => `axis ${i}`), axes);
  if (asked.get("backend") === "wasm") return async () => classifier.answer(picture(), EDGE, EDGE);
  const tower = await classifier.compile(await wasm.Gpu.open());
  return () => classifier.answer_on(tower, picture(), EDGE, EDGE);
}

/** The exported image tower. The pixels come from our own code and are not timed, which is in its favour. */
async function theirs(pixels, about) {
  const backend = asked.get("backend");
  const ort = await import(`./ort/${backend === "webgpu" ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs"}`);
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  ort.env.wasm.numThreads = Number(asked.get("threads"));
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(await fetched(`${model}/image.onnx`), { executionProviders: [backend], graphOptimizationLevel: "all" });
  const edge = about.image_size;
  const input = new ort.Tensor("float32", pixels, [1, 3, edge, edge]);
  return async () => {
    const given = await session.run({ [session.inputNames[0]]: input });
    const embedding = given[session.outputNames[0]].data;
    const norm = Math.hypot(...embedding);
    const raised = Array.from(embedding, (x) => Math.exp(about.scale * (x / norm - 1)));
    const sum = raised.reduce((a, b) => a + b);
    return raised.map((x) => x / sum);
  };
}

/** Channels first, as the export has them. */
async function seen(edge) {
  const wasm = await module();
  const last = wasm.pixels(picture(), EDGE, EDGE, edge);
  const first = new Float32Array(last.length);
  for (let i = 0; i < edge * edge; i += 1) for (let c = 0; c < 3; c += 1) first[c * edge * edge + i] = last[3 * i + c];
  return first;
}

async function took(work) {
  const start = performance.now();
  const result = await work();
  return [performance.now() - start, result];
}

try {
  const about = await (await fetch(`${model}/about.json`)).json();
  const pixels = asked.get("program") === "toxiclip" ? null : await seen(about.image_size);
  const [ready, ask] = await took(() => (pixels ? theirs(pixels, about) : ours()));
  const [first, answer] = await took(ask);
  const warm = [];
  // Long enough to be measured, short enough for a software adapter.
  for (let run = 0, spent = 0; run < Number(asked.get("runs")) && (run < 3 || spent < 20_000); run += 1) {
    const [time] = await took(ask);
    spent += time;
    warm.push(time);
  }
  warm.sort((a, b) => a - b);
  window.result = { ready_ms: ready, first_ms: first, warm_ms: warm[warm.length >> 1], runs: warm.length, answer: Array.from(answer) };
} catch (error) {
  window.result = { error: String(error) };
}
