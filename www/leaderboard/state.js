// What is chosen, and the address that says it: everything shareable is behind the `#`, which also works from a file.
"use strict";
const board = (() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const { entries, questions } = JSON.parse($("#data").textContent);
  const facets = ["metric", "encoder", "benchmark", "attack", "defense", "protocol", "submitter"];
  const lanes = [...document.querySelectorAll("#controls [name=lane]")].map((input) => input.value);
  const heads = [...document.querySelectorAll("#board thead th")];
  const columns = heads.map((th) => th.dataset.key);
  const usual = heads.filter((th) => !th.classList.contains("off")).map((th) => th.dataset.key);
  const state = { lane: "attacks", search: "", sort: "", down: false, filters: new Map(), columns: new Set(usual) };

  const body = $("#board tbody");
  entries.forEach((entry, i) => {
    entry.tr = body.rows[i];
    entry.at = i;
    entry.text = `${entry.attack} ${entry.defense} ${entry.encoder} ${entry.benchmark} ${entry.submitter} ${entry.metric}`.toLowerCase();
  });

  const same = (set, list) => set.size === list.length && list.every((key) => set.has(key));
  const toAddress = () => {
    const pairs = [];
    if (state.lane !== "attacks") pairs.push(["lane", state.lane]);
    for (const facet of facets) for (const value of state.filters.get(facet) ?? []) pairs.push([facet, value]);
    if (state.search) pairs.push(["search", state.search]);
    if (state.sort) pairs.push(["sort", (state.down ? "-" : "") + state.sort]);
    if (!same(state.columns, usual)) pairs.push(["columns", [...state.columns].join(".")]);
    const hash = "#" + new URLSearchParams(pairs);
    if (hash === (location.hash || "#")) return;
    // A page from disk may not change its address in every browser; the view works all the same.
    try { history.replaceState(null, "", hash); } catch { /* kept as it is */ }
  };
  // What an address names and the page does not have is left out.
  const fromAddress = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const lane = wanted.get("lane") ?? "attacks";
    state.lane = lanes.includes(lane) ? lane : "attacks";
    state.search = wanted.get("search") ?? "";
    const sort = wanted.get("sort") ?? "";
    const key = sort.replace(/^-/, "");
    state.sort = columns.includes(key) ? key : "";
    state.down = state.sort !== "" && sort.startsWith("-");
    state.filters.clear();
    for (const facet of facets) {
      const values = wanted.getAll(facet).filter((value) => entries.some((entry) => entry[facet] === value));
      if (values.length) state.filters.set(facet, new Set(values));
    }
    const chosen = (wanted.get("columns") ?? "").split(".").filter((column) => columns.includes(column));
    state.columns = new Set(chosen.length ? ["name", ...chosen] : usual);
  };
  const choose = (facet, value, on) => {
    const values = state.filters.get(facet) ?? new Set();
    if (on) values.add(value); else values.delete(value);
    if (values.size) state.filters.set(facet, values); else state.filters.delete(facet);
  };
  return { $, entries, questions, facets, heads, columns, usual, state, body, toAddress, fromAddress, choose };
})();
