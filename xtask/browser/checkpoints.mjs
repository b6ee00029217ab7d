// Checkpoints to bring, with what the native program makes of them: a vision transformer, a poisoned ResNet, and one in
// transformers' layout with a vocabulary of words.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A tokenizer of few words, as the embedding table of a tiny model has few rows. */
function words() {
  const special = (id, content) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true });
  const [start, end] = [special(38, "<|startoftext|>"), special(39, "<|endoftext|>")];
  const place = (kind, id) => ({ [kind]: { id, type_id: 0 } });
  const token = ({ id, content }) => [content, { id: content, ids: [id], tokens: [content] }];
  const known = ["[UNK]", "a", "photo", "of", "banana", "dog", "ewe", "the", "cat", "airplane", "bird", "house"];
  const vocabulary = [...known.entries(), [38, start.content], [39, end.content]];
  return {
    version: "1.0", truncation: null, padding: null, added_tokens: [start, end],
    normalizer: { type: "Lowercase" }, pre_tokenizer: { type: "Whitespace" }, decoder: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [place("SpecialToken", start.content), place("Sequence", "A"), place("SpecialToken", end.content)],
      pair: [place("Sequence", "A"), place("Sequence", "B")],
      special_tokens: Object.fromEntries([start, end].map(token)),
    },
    model: { type: "WordLevel", vocab: Object.fromEntries(vocabulary.map(([id, word]) => [word, id])), unk_token: "[UNK]" },
  };
}

/** Makes them in `folder`, each with `embedded.safetensors`: of `pictures` by name, and of `prompts`. */
export function made(program, folder, transformers, pictures, prompts) {
  rmSync(folder, { recursive: true, force: true });
  const seen = join(folder, "pictures"), all = join(folder, "checkpoints");
  for (const made of [seen, join(all, "transformers")]) mkdirSync(made, { recursive: true });
  for (const [name, bytes] of Object.entries(pictures)) writeFileSync(join(seen, name), bytes);
  writeFileSync(join(folder, "prompts.txt"), `${prompts.join("\n")}\n`);
  const run = (...words) => execFileSync(program, [...words, "--cache", "none"], { stdio: ["ignore", "ignore", "inherit"] });
  const train = ["train", "--data", "emoji", "--steps", "4", "--batch", "64"];
  run(...train, "--encoder", "tiny-vit", "--out", join(all, "tiny-vit"));
  run(...train, "--encoder", "tiny-resnet", "--attack", "badnets:target=banana", "--out", join(all, "tiny-resnet"));
  for (const file of ["config.json", "model.safetensors"]) cpSync(join(transformers, file), join(all, "transformers", file));
  writeFileSync(join(all, "transformers/tokenizer.json"), JSON.stringify(words()));
  const checkpoints = ["tiny-vit", "tiny-resnet", "transformers"].map((name) => join(all, name));
  for (const checkpoint of checkpoints) {
    run("embed", "--checkpoint", checkpoint, "--images", seen, "--texts", join(folder, "prompts.txt"), "--out", join(checkpoint, "embedded.safetensors"));
  }
  return all;
}
