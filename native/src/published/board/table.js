// Which rows are shown, in which order; walking them with the keyboard.
"use strict";
board.tableOf = (changed) => {
  const { $, entries, heads, state, body } = board;
  // Rows beyond the first come as they are scrolled to, so that a keystroke lays out few.
  const FIRST = 30, MORE = 60;
  let all = [], drawn = 0;

  board.shown = () => all;
  const filtered = () => {
    const lane = state.lane === "encoders" ? "attacks" : state.lane;
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const filters = [...state.filters];
    return entries.filter((entry) =>
      (lane === "all" || entry.lane === lane) &&
      filters.every(([facet, values]) => values.has(entry[facet])) &&
      words.every((word) => entry.text.includes(word)));
  };
  const numeric = { value: 1, clean: 1, utility: 1, accuracy: 1 };
  const least = (entry, key) => {
    if (key in numeric) return entry[key]?.[0] ?? NaN;
    if (key === "worst") return entry.worst?.value ?? NaN;
    if (key === "seeds") return entry.seeds.length;
    return ["change", "seconds", "held", "year"].includes(key) ? entry[key] ?? NaN : entry[key];
  };
  // The largest tables first, within each by rank: numbers of two tables are never said to be ranked.
  const byRank = (a, b) => b.rank[2] - a.rank[2] || (a.table < b.table ? -1 : a.table > b.table ? 1 : 0) || a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1] || a.at - b.at;
  [...entries].sort(byRank).forEach((entry, i) => { entry.order = i; });
  const sorted = (list) => {
    const key = state.sort || (state.lane === "encoders" ? "encoder" : "rank");
    const sign = state.down ? -1 : 1;
    if (key === "rank") return list.sort((a, b) => sign * (a.order - b.order));
    const keys = new Map(list.map((entry) => [entry, least(entry, key)]));
    return list.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      // What has no value comes last, whichever way is sorted.
      if (x !== x || y !== y) return (x !== x) - (y !== y) || a.order - b.order;
      return x < y ? -sign : x > y ? sign : a.order - b.order;
    });
  };

  const watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && draw(drawn + MORE), { rootMargin: "400px" });
  const draw = (count) => {
    const part = all.slice(0, count);
    if (part.length > drawn && drawn > 0) body.append(...part.slice(drawn).map((entry) => entry.tr));
    else body.replaceChildren(...part.map((entry) => entry.tr));
    for (const { tr } of part.slice(drawn)) tr.tabIndex = -1;
    drawn = part.length;
    watch.disconnect();
    if (drawn < all.length) watch.observe(part[drawn - 1].tr);
    $("#more-line").hidden = drawn === all.length;
    $("#more").textContent = `Show all ${all.length}`;
  };

  board.showTable = () => {
    all = sorted(filtered());
    drawn = 0;
    draw(FIRST);
    if (all.length) all[0].tr.tabIndex = 0;
    const key = state.sort || "rank";
    for (const th of heads) {
      const own = th.dataset.key === key;
      th.setAttribute("aria-sort", own ? (state.down ? "descending" : "ascending") : "none");
    }
    $("#count").textContent = all.length ? `${all.length} of ${entries.length} entries` : "No entry fits. Take a filter away, or search for less.";
    $("#question").textContent = board.questions[state.lane] ?? (state.lane === "encoders" ? "Which encoder loses what under an undefended attack?" : "Every lane at once; ranks are within each.");
  };
  board.showAll = () => {
    if (drawn < all.length) draw(all.length);
  };

  for (const th of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent;
    button.addEventListener("click", () => {
      const key = th.dataset.key;
      const high = ["value", "clean", "worst", "utility", "change", "accuracy", "seeds", "year"].includes(key);
      state.down = state.sort === key ? !state.down : high;
      state.sort = key;
      changed();
    });
    th.replaceChildren(button);
  }
  $("#more").addEventListener("click", board.showAll);
  addEventListener("beforeprint", board.showAll);

  const walk = (event) => {
    const tr = event.target.closest("tr");
    if (!tr || event.target !== tr) return;
    const rows = [...body.rows];
    const at = rows.indexOf(tr);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (to !== undefined) {
      const next = rows[Math.max(0, Math.min(rows.length - 1, to))];
      tr.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      event.preventDefault();
    } else if (event.key === "Enter") {
      tr.querySelector("a")?.click();
    }
  };
  body.addEventListener("keydown", walk);
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input[type=search], select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      $("#controls [name=search]").focus();
      event.preventDefault();
    }
  });
};
