// Filters, ranks, sorting, exports and the plot of the leaderboard. The table stands without it.
"use strict";
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const rows = JSON.parse($("#data").textContent);
  const body = $("#board tbody");
  const cells = [...body.rows];
  rows.forEach((row, i) => {
    row.tr = cells[i];
    row.tr.tabIndex = -1;
    row.change = row.utility && row.cleanUtility !== null ? row.utility[0] - row.cleanUtility : null;
  });
  const form = $("#controls");
  const fields = ["view", "metric", "encoder", "benchmark", "search"];
  let order = { key: "rank", down: false };

  // --- state and address ---------------------------------------------------------------------------------------
  const state = () => Object.fromEntries(new FormData(form));
  const toAddress = () => {
    const pairs = Object.entries(state()).filter(([, value]) => value);
    if (order.key !== "rank" || order.down) pairs.push(["sort", (order.down ? "-" : "") + order.key]);
    // A page from disk may not change its address in every browser; the view works all the same.
    try { history.replaceState(null, "", "#" + new URLSearchParams(pairs)); } catch { /* kept as it is */ }
  };
  const fromAddress = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const name of fields) {
      const field = form.elements[name];
      const value = wanted.get(name) ?? "";
      const choices = field instanceof RadioNodeList ? [...field].map((f) => f.value) : [...(field.options ?? [])].map((o) => o.value);
      if (name === "search" || choices.includes(value)) field.value = value;
    }
    const sort = wanted.get("sort") ?? "rank";
    const key = sort.replace(/^-/, "");
    if (heads.some((th) => th.dataset.key === key)) order = { key, down: sort.startsWith("-") };
  };

  // --- what is shown -------------------------------------------------------------------------------------------
  const shown = () => {
    const { view, metric, encoder, benchmark, search } = state();
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return rows.filter((row) =>
      (!view || (view === "attacks") === (row.defense === "none")) &&
      (!metric || row.metric === metric) && (!encoder || row.encoder === encoder) && (!benchmark || row.benchmark === benchmark) &&
      words.every((word) => `${row.attack} ${row.defense}`.toLowerCase().includes(word)));
  };
  // Undefended attacks are ranked among each other, and so are defenses, by one metric at a time.
  const rank = (all) => {
    for (const row of all) {
      const undefended = row.defense === "none";
      const rivals = all.filter((r) => r.metric === row.metric && (r.defense === "none") === undefended);
      const above = (a, b) => (undefended ? a.success[1] > b.success[2] : a.success[2] < b.success[1]);
      row.rank = [1 + rivals.filter((r) => above(r, row)).length, rivals.length - rivals.filter((r) => above(row, r)).length];
    }
  };
  const value = (row, key) => {
    switch (key) {
      case "rank": return row.rank[0] + row.rank[1] / 1e4;
      case "success": case "clean": case "utility": return row[key]?.[0] ?? -Infinity;
      case "change": return row.change ?? -Infinity;
      case "seeds": return row.seeds.length;
      case "benchmark": return `${row.benchmark} ${row.encoder}`;
      default: return row[key];
    }
  };
  // Ranks of several metrics have no order: the rows stay as they were published then.
  const ranked = () => Boolean(state().view || state().metric);
  const sorted = (all) => all.toSorted((a, b) => {
    if (order.key === "rank" && !ranked()) return rows.indexOf(a) - rows.indexOf(b);
    const [x, y] = [value(a, order.key), value(b, order.key)];
    const least = typeof x === "string" ? x.localeCompare(y) : x - y;
    return (order.down ? -least : least) || rows.indexOf(a) - rows.indexOf(b);
  });

  const draw = () => {
    const all = shown();
    rank(all);
    const wanted = sorted(all);
    for (const row of rows) row.tr.hidden = true;
    for (const row of wanted) {
      row.tr.hidden = false;
      const [first, last] = row.rank;
      row.tr.cells[0].textContent = ranked() ? (first === last ? first : `${first}–${last}`) : "–";
      body.append(row.tr);
    }
    for (const th of heads) {
      const own = th.dataset.key === order.key;
      th.setAttribute("aria-sort", own ? (order.down ? "descending" : "ascending") : "none");
    }
    $("#count").textContent = `${wanted.length} of ${rows.length} models` + (ranked() ? "" : "; choose a view or a metric to see ranks");
    plot(wanted.filter((row) => row.utility));
    toAddress();
  };

  // --- attack success against utility --------------------------------------------------------------------------
  const svg = (name, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, v] of Object.entries(attributes)) element.setAttribute(key, v);
    element.append(...children);
    return element;
  };
  const plot = (all) => {
    const figure = $("#plot");
    figure.replaceChildren();
    figure.hidden = all.length < 2;
    if (figure.hidden) return;
    const ends = all.flatMap((row) => row.utility);
    const [low, high] = [Math.floor(Math.min(...ends) * 20) / 20, Math.ceil(Math.max(...ends) * 20) / 20];
    const x = (v) => 60 + (v - low) / (high - low || 1) * 600, y = (v) => 320 - v * 290;
    const drawing = svg("svg", { viewBox: "0 0 680 370", role: "img", "aria-label": `Attack success against ir@10 of ${all.length} models; the table has the numbers` });
    for (let i = 0; i <= 4; i++) {
      drawing.append(svg("line", { class: "grid", x1: 60, x2: 660, y1: y(i / 4), y2: y(i / 4) }), svg("text", { class: "quiet", x: 52, y: y(i / 4) + 5, "text-anchor": "end" }, String(i / 4)));
      const at = low + (high - low) * i / 4;
      drawing.append(svg("text", { class: "quiet", x: x(at), y: 342, "text-anchor": "middle" }, at.toFixed(2)));
    }
    drawing.append(svg("text", { x: 360, y: 364, "text-anchor": "middle" }, "utility: ir@10"), svg("text", { x: 60, y: 16 }, "attack success"));
    // For whoever deploys a model: another one under the same attack is as useful and as safe, and better in one of both.
    const beaten = (row) => all.some((r) => r.attack === row.attack && r.metric === row.metric && r.encoder === row.encoder && r.benchmark === row.benchmark && r.utility[0] >= row.utility[0] && r.success[0] <= row.success[0] && (r.utility[0] > row.utility[0] || r.success[0] < row.success[0]));
    for (const row of all) {
      const [ux, sy] = [x(row.utility[0]), y(row.success[0])];
      const role = row.defense === "none" ? "poisoned" : "defended";
      const shape = row.defense === "none" ? svg("circle", { class: "point", cx: ux, cy: sy, r: 6 }) : svg("rect", { class: "point", x: ux - 5, y: sy - 5, width: 10, height: 10 });
      const mark = svg("g", { class: role, opacity: beaten(row) ? 0.35 : 1 },
        svg("path", { class: "whisker", d: `M${x(row.utility[1])} ${sy}H${x(row.utility[2])}M${ux} ${y(row.success[1])}V${y(row.success[2])}`, opacity: 0.4 }), shape,
        svg("title", {}, `${row.attack} + ${row.defense}: ${row.metric} ${row.success[0].toFixed(2)}, ir@10 ${row.utility[0].toFixed(2)}`));
      const light = (on) => { row.tr.classList.toggle("lit", on); mark.classList.toggle("lit", on); };
      for (const element of [mark, row.tr]) { element.onpointerenter = () => light(true); element.onpointerleave = () => light(false); }
      mark.onclick = () => row.tr.scrollIntoView({ block: "center" });
      drawing.append(mark);
    }
    const caption = document.createElement("figcaption");
    caption.textContent = "Up is success for the attacker, right is a more useful model; bars are 95 % intervals. Circles are undefended, squares defended. Faded: under the same attack another model of the benchmark is no less useful, and safer.";
    figure.append(drawing, caption);
  };

  // --- exports -------------------------------------------------------------------------------------------------
  const plain = (row) => {
    const { tr, ...rest } = row;
    return rest;
  };
  const csv = (all) => {
    const quote = (v) => (/[",\n]/.test(String(v)) ? `"${String(v).replaceAll('"', '""')}"` : String(v ?? ""));
    const flat = (row) => [row.benchmark, row.dataset, row.encoder, row.attack, row.defense, row.metric, ...row.success, ...(row.clean ?? ["", "", ""]), ...(row.utility ?? ["", "", ""]), row.n, row.seeds.join(" ")];
    const triple = (name) => [name, `${name}_lo`, `${name}_hi`];
    const head = ["benchmark", "dataset", "encoder", "attack", "defense", "metric", ...triple("success"), ...triple("clean_model"), ...triple("ir@10"), "n", "seeds"];
    return [head, ...all.map(flat)].map((line) => line.map(quote).join(",")).join("\n") + "\n";
  };
  for (const button of form.querySelectorAll("[data-export]")) {
    button.onclick = () => {
      const kind = button.dataset.export;
      const all = sorted(shown());
      const text = kind === "csv" ? csv(all) : JSON.stringify(all.map(plain), null, 1);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/json" }));
      link.download = `leaderboard.${kind}`;
      link.click();
      URL.revokeObjectURL(link.href);
    };
  }

  // --- begin ---------------------------------------------------------------------------------------------------
  const heads = [...document.querySelectorAll("#board thead th")];
  for (const th of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent;
    button.onclick = () => {
      const key = th.dataset.key;
      order = { key, down: order.key === key ? !order.down : ["success", "utility", "change", "seeds"].includes(key) };
      draw();
    };
    th.replaceChildren(button);
  }
  form.hidden = false;
  form.oninput = draw;
  form.onsubmit = (event) => event.preventDefault();
  addEventListener("hashchange", () => { fromAddress(); draw(); });
  fromAddress();
  draw();
})();
