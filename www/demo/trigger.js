// Triggers: what a visitor may change of them, and pictures that carry them.
import { $, element } from "./page.js";
import { stamp } from "./pkg/toxiclip_wasm.js";

const SLIDERS = {         // what a visitor may change of a trigger, by its kind
  patch: [["size", "size, px at 224", 8, 112, 4], ["place", "place", ["corners", "top-left", "top-right", "bottom-left", "bottom-right", "center"]]],
  blend: [["alpha", "opacity", 0.02, 1, 0.02]],
  wave: [["delta", "amplitude, of 255", 0, 120, 5], ["frequency", "waves across the picture", 1, 16, 1]],
  warp: [["strength", "displacement, half pixels", 0, 12, 0.5]],
  frequency: [["magnitude", "added to a coefficient", 0, 3000, 50]],
};

/** The trigger's own controls; a change is a change of its data, as they stand in armed.json. */
export function controls(trigger, changed) {
  const [kind] = Object.keys(trigger);
  const part = trigger[kind];
  const made = (SLIDERS[kind] ?? []).map(([key, text, from, to, step]) => {
    const label = element("label");
    let input;
    if (Array.isArray(from)) {
      input = element("select");
      for (const value of from) input.append(element("option", { value }, value));
    } else {
      input = element("input", { type: "range", min: from, max: to, step });
    }
    input.value = part[key];
    input.dataset.key = key;
    const named = () => Array.isArray(from) ? text : `${text}: ${part[key]}`;
    const value = element("span", {}, named());
    input.addEventListener("input", () => {
      part[key] = Array.isArray(from) ? input.value : Number(input.value);
      value.textContent = named();
      changed();
    });
    label.append(value, input);
    return label;
  });
  $("sliders").replaceChildren(...made);
}

/** A picture with the trigger on it: its central square. */
export function stamped(trigger, { rgba, width, height, id }) {
  const out = stamp(JSON.stringify(trigger), rgba, width, height, id);
  const edge = Math.sqrt(out.length / 4);
  return { rgba: out, width: edge, height: edge };
}
