// Filters: a list for each facet adds one, a chip shows it and takes it away; and which columns are shown.
"use strict";
board.facetsOf = (changed) => {
  const { $, entries, facets, heads, columns, state, choose } = board;
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const distinct = (facet) => [...new Set(entries.map((entry) => entry[facet]))].sort();
  const selects = new Map();
  for (const facet of facets) {
    const values = distinct(facet);
    if (values.length < 2) continue;
    const select = make("select", {}, make("option", { value: "", textContent: "any" }), ...values.map((value) => make("option", { value, textContent: value })));
    select.addEventListener("change", () => {
      if (select.value) choose(facet, select.value, true);
      changed();
    });
    selects.set(facet, select);
    $("#facets").append(make("label", {}, `${facet} `, select));
  }
  const boxes = new Map();
  for (const key of columns.filter((key) => key !== "name")) {
    const box = make("input", { type: "checkbox" });
    box.addEventListener("change", () => {
      if (box.checked) state.columns.add(key); else state.columns.delete(key);
      changed();
    });
    boxes.set(key, box);
    const head = heads.find((th) => th.dataset.key === key).textContent;
    $("#columns").append(make("label", {}, box, ` ${head}`));
  }
  const chip = (facet, value) => {
    const button = make("button", { type: "button", textContent: `${facet}: ${value} ×` });
    button.setAttribute("aria-label", `Remove the filter ${facet} ${value}`);
    button.addEventListener("click", () => {
      choose(facet, value, false);
      changed();
      ($("#chips button") ?? $("#controls [name=search]")).focus();
    });
    return make("li", {}, button);
  };
  // Fixed widths: the browser then lays rows out without looking into every cell first.
  const wide = { name: 208, opponent: 184, value: 176, clean: 144, worst: 184, utility: 144, accuracy: 144, encoder: 160, benchmark: 160, change: 128, acts: 136, verified: 136 };
  const width = (key) => wide[key] ?? 96;
  const table = $("#board");
  table.classList.add("live");
  for (const th of heads) th.style.width = `${width(th.dataset.key)}px`;
  let shown = "";
  // Brings what is on the page in line with the state.
  board.showFacets = () => {
    const all = [...state.filters].flatMap(([facet, values]) => [...values].map((value) => [facet, value]));
    const now = JSON.stringify(all);
    if (now !== shown) {
      $("#chips").replaceChildren(...all.map(([facet, value]) => chip(facet, value)));
      for (const select of selects.values()) select.value = "";
      shown = now;
    }
    for (const [key, box] of boxes) box.checked = state.columns.has(key);
    for (const key of columns) table.classList.toggle(`hide-${key}`, !state.columns.has(key));
    const shownHeads = heads.filter((th) => state.columns.has(th.dataset.key));
    table.style.width = `${shownHeads.reduce((sum, th) => sum + width(th.dataset.key), 0)}px`;
  };
};
