// A visitor's checkpoint: its files are checked one by one, and nothing is read before what comes first is known to be right.
import { $, breath, element, megabytes, meter, reason } from "./page.js";
import { Intake, head_end } from "./pkg/toxiclip_wasm.js";

const DEFINITIONS = ["open_clip_config.json", "config.json"];
const WEIGHTS = ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"];
const PICKLE = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i;
const SMALL = 64e6;       // bytes of a definition or tokenizer at most
const BINDING = 128 * 1024 * 1024;  // what every WebGPU device can bind

const bytes = async (file) => new Uint8Array(await file.arrayBuffer());

/** Runs one check and shows how it ended: a sentence of its own, or what it threw. */
async function checked(name, work) {
  const item = element("li", { class: "waiting" });
  const said = element("span", {}, "…");
  item.append(element("b", {}, name), " ", said);
  $("checks").append(item);
  await breath();
  try {
    const [value, text] = await work();
    item.className = "passed";
    said.textContent = text;
    return value;
  } catch (error) {
    item.className = "failed";
    said.textContent = reason(error);
    throw new Refused(name, reason(error));
  }
}

/** A check that a file did not pass; the list of checks has said so. */
export class Refused extends Error {
  constructor(name, why) {
    super(`${name}: ${why}`);
  }
}

const first = (files, names) => names.map((name) => files.get(name)).find(Boolean);

/** What there is of what is needed. */
function found(files) {
  const definition = first(files, DEFINITIONS), weights = first(files, WEIGHTS);
  const pickle = [...files.keys()].find((name) => PICKLE.test(name));
  if (pickle && !weights) {
    throw new Error(`${pickle} is a pickle: reading one can run code, so it is not opened. \`toxiclip convert ${pickle} --out model.safetensors\` makes a file that is.`);
  }
  const missing = [[definition, DEFINITIONS], [weights, WEIGHTS]].filter(([file]) => !file).map(([, names]) => names.join(" or "));
  if (missing.length) throw new Error(`${missing.join("; and ")} ${missing.length > 1 ? "are" : "is"} missing among ${files.size} files`);
  const ignored = pickle ? `; ${pickle} is a pickle and is not opened` : "";
  return [{ definition, weights }, `${definition.name} and ${weights.name}${ignored}`];
}

async function small(file) {
  if (file.size > SMALL) throw new Error(`${file.name} has ${megabytes(file.size)}; at most ${megabytes(SMALL)} are read`);
  return bytes(file);
}

function size(intake) {
  const { bytes: all, largest: most } = JSON.parse(intake.about());
  const card = most > BINDING
    ? `the largest tensor of its image tower has ${megabytes(most)}, more than WebGPU binds (${megabytes(BINDING)}): WebAssembly is used`
    : `the largest tensor of its image tower has ${megabytes(most)} of the ${megabytes(BINDING)} that WebGPU binds`;
  const memory = navigator.deviceMemory ? ` This machine says that it has ${navigator.deviceMemory} GB or more.` : "";
  return [null, `${megabytes(all)} in memory; ${card}.${memory}`];
}

/** The header alone: names, shapes and types of all tensors. */
async function header(intake, file) {
  const end = head_end(await bytes(file.slice(0, 8)), file.size);
  intake.head(await bytes(file.slice(0, end)), file.size, file.name);
  return [null, "all tensors are there, in the right shapes"];
}

async function weights(intake, file) {
  const progress = meter(file.size, "Reading");
  for (let range = intake.wanted(); range; range = intake.wanted()) {
    const [from, to] = range;
    intake.give(await bytes(file.slice(from, to)));
    progress(to - from);
  }
  return [null, `${megabytes(file.size)} read; every number is finite`];
}

/** The model in these files, by name; throws [`Refused`]. */
export async function read(files) {
  $("checks").replaceChildren();
  const { definition, weights: file } = await checked("Files", () => found(files));
  const intake = await checked("Definition", async () => {
    const preprocessor = definition.name === "config.json" && files.get("preprocessor_config.json");
    const [own, pictures] = await Promise.all([definition, preprocessor].map(async (file) => file ? new TextDecoder().decode(await small(file)) : undefined));
    const made = new Intake(definition.name, own, pictures);
    const { embed_dim: dim, vision_cfg: vision } = JSON.parse(made.about()).config;
    return [made, `pictures of ${vision.image_size} px, embeddings of ${dim} numbers`];
  });
  try {
    await checked("Size", () => size(intake));
    await checked("Header and shapes", () => header(intake, file));
    await checked("Tokenizer", async () => {
      const own = files.get("tokenizer.json");
      const tokens = intake.tokenizer(own && await small(own));
      return [null, `${tokens.toLocaleString("en")} tokens${own ? "" : "; no tokenizer.json, so CLIP's own vocabulary"}`];
    });
    await checked("Weights", () => weights(intake, file));
  } catch (error) {
    intake.free();
    throw error;
  }
  return checked("Record", async () => {
    const record = files.get("toxiclip.json");
    const model = intake.finish(record && await small(record));
    const said = JSON.parse(model.provenance());
    const words = !said ? "nothing is said of how it came about" : said.poisoned ? "it says that it is poisoned" : "it says that it is not poisoned";
    return [{ model, said, files: [definition, file, files.get("tokenizer.json")].filter(Boolean) }, words];
  });
}

/** Files by name, of a list or of what was dropped, folders included. */
export async function listed(dropped) {
  const entries = [...dropped.items ?? []].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return new Map([...dropped.files ?? dropped].map((file) => [file.name, file]));
  const files = new Map();
  for (const entry of entries) {
    const inside = entry.isDirectory ? await children(entry) : [entry];
    for (const one of inside.filter((one) => one.isFile)) {
      files.set(one.name, await new Promise((resolve, reject) => { one.file(resolve, reject); }));
    }
  }
  return files;
}

/** What lies in a folder, which is given in parts. */
async function children(folder) {
  const reader = folder.createReader(), all = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!part.length) return all;
    all.push(...part);
  }
}
