// A model's answer as a column of bars.
import { $, element, percent } from "./page.js";

const BARS = 4;
const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** One column: the likeliest classes, and the target's whatever its rank. */
export function show(role, title, names, answer, target) {
  const order = [...answer.keys()].sort((a, b) => answer[b] - answer[a]);
  const shown = order.slice(0, BARS);
  if (!shown.includes(target)) shown[shown.length - 1] = target;
  let column = document.querySelector(`[data-model="${role}"]`);
  if (!column) {
    column = element("section", { class: `model ${role}`, "data-model": role });
    $("models").append(column);
  }
  column.replaceChildren(element("h2", {}, title));
  for (const at of shown) {
    const bar = element("div", { class: at === target ? "bar target" : "bar" });
    const drawing = svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
    drawing.append(svg("rect", { width: 100 * answer[at], height: 8 }));
    bar.append(element("b", {}, names[at]), element("span", {}, percent(answer[at])), drawing);
    column.append(bar);
  }
  column.dataset.top = names[order[0]];
  column.dataset.target = answer[target];
  return { top: names[order[0]], target: answer[target] };
}
