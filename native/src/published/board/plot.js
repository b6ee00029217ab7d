// Attack success against utility, a mark for each shown entry; a mark and its row light up together.
"use strict";
board.plotOf = () => {
  const { $, entries, body } = board;
  const svg = (name, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const figure = $("#plot");
  const success = (entry) => entry.utility && (entry.lane === "attacks" || entry.lane === "defenses");
  const drawn = entries.filter(success);
  const ends = drawn.flatMap((entry) => entry.utility);
  // One scale for all filters, so that marks stay where they are.
  const low = Math.floor(Math.min(...ends, 1) * 20) / 20, high = Math.ceil(Math.max(...ends, 0) * 20) / 20;
  const x = (value) => 60 + (value - low) / (high - low || 1) * 600;
  const y = (value) => 320 - value * 290;
  const drawing = svg("svg", { viewBox: "0 0 680 370", role: "img" });
  for (let i = 0; i <= 4; i++) {
    const at = low + (high - low) * i / 4;
    drawing.append(
      svg("line", { class: "grid", x1: 60, x2: 660, y1: y(i / 4), y2: y(i / 4) }),
      svg("text", { class: "quiet", x: 52, y: y(i / 4) + 5, "text-anchor": "end" }, String(i / 4)),
      svg("text", { class: "quiet", x: x(at), y: 342, "text-anchor": "middle" }, at.toFixed(2)));
  }
  drawing.append(svg("text", { x: 360, y: 364, "text-anchor": "middle" }, "utility: ir@10"), svg("text", { x: 60, y: 16 }, "attack success"));
  for (const entry of drawn) {
    const [ux, sy] = [x(entry.utility[0]), y(entry.value[0])];
    const plain = entry.defense === "none";
    const shape = plain ? svg("path", { class: "point", d: `M${ux} ${sy - 8}L${ux + 7.5} ${sy + 5.5}H${ux - 7.5}Z` }) : svg("rect", { class: "point", x: ux - 5, y: sy - 5, width: 10, height: 10 });
    const whiskers = `M${x(entry.utility[1])} ${sy}H${x(entry.utility[2])}M${ux} ${y(entry.value[1])}V${y(entry.value[2])}`;
    entry.mark = svg("g", { class: `mark ${plain ? "poisoned" : "defended"}${entry.dominated ? " dominated" : ""}` },
      svg("path", { class: "whisker", d: whiskers }), shape,
      svg("title", {}, `${entry.attack} + ${entry.defense}: ${entry.metric} ${entry.value[0].toFixed(2)}, ir@10 ${entry.utility[0].toFixed(2)}, rank ${entry.rank[0]}–${entry.rank[1]} of ${entry.rank[2]}`));
    drawing.append(entry.mark);
  }
  const caption = document.createElement("figcaption");
  caption.textContent = "Up is success for the attacker, right is a more useful model; bars are 95 % intervals. Triangles are undefended, squares defended. Faded: a rival is no less useful, no worse, and better in one of both.";
  figure.append(drawing, caption);

  let lit = null;
  const light = (entry) => {
    for (const [old, on] of [[lit, false], [entry, true]]) {
      old?.tr.classList.toggle("lit", on);
      old?.mark?.classList.toggle("lit", on);
    }
    lit = entry;
  };
  const ofRow = new Map(entries.map((entry) => [entry.tr, entry]));
  const ofMark = new Map(drawn.map((entry) => [entry.mark, entry]));
  const over = (map, selector) => (event) => light(map.get(event.target.closest?.(selector)) ?? null);
  body.addEventListener("pointerover", over(ofRow, "tr"));
  body.addEventListener("focusin", over(ofRow, "tr"));
  body.addEventListener("pointerleave", () => light(null));
  drawing.addEventListener("pointerover", over(ofMark, "g.mark"));
  drawing.addEventListener("pointerleave", () => light(null));
  drawing.addEventListener("click", (event) => {
    const entry = ofMark.get(event.target.closest("g.mark"));
    if (!entry) return;
    board.showAll();
    entry.tr.scrollIntoView({ block: "center" });
    entry.tr.focus({ preventScroll: true });
  });

  board.showPlot = () => {
    const shown = new Set(board.shown());
    let count = 0;
    for (const entry of drawn) {
      const on = shown.has(entry);
      count += on;
      entry.mark.classList.toggle("gone", !on);
    }
    figure.hidden = count < 2;
    drawing.setAttribute("aria-label", `Attack success against ir@10 of ${count} models; the table has the numbers`);
  };
};
