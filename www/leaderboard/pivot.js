// Encoders side by side: in their lane a table for each benchmark that asks several, a line for each attack.
"use strict";
board.pivotOf = () => {
  const { $, state } = board;
  const place = $("#pivot");
  const made = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(text);
    return element;
  };
  const groups = (list, key) => {
    const found = new Map();
    for (const entry of list) found.set(key(entry), [...found.get(key(entry)) ?? [], entry]);
    return found;
  };
  const cell = (entry, encoder) => {
    if (!entry) return made("td", "–", { class: "number", "data-label": encoder });
    const td = made("td", made("a", entry.value[0].toFixed(2), { href: entry.page }), { class: "number", "data-label": encoder });
    td.append(" ", made("small", `[${entry.value[1].toFixed(2)}, ${entry.value[2].toFixed(2)}]`));
    return td;
  };
  const table = (title, list) => {
    const encoders = [...new Set(list.map((entry) => entry.encoder))];
    const head = made("tr", made("th", "attack", { scope: "col" }));
    head.append(...encoders.map((encoder) => made("th", encoder, { scope: "col" })));
    const whole = made("table", made("caption", title), { class: "cardlike" });
    const [thead, tbody] = [made("thead", head), made("tbody", "")];
    for (const [name, own] of groups(list, (entry) => `${entry.attack}, ${entry.metric}`)) {
      const tr = made("tr", made("th", name, { scope: "row" }));
      tr.append(...encoders.map((encoder) => cell(own.find((entry) => entry.encoder === encoder), encoder)));
      tbody.append(tr);
    }
    whole.append(thead, tbody);
    return whole;
  };

  board.showPivot = () => {
    place.replaceChildren();
    if (state.lane === "encoders") {
      const runs = groups(board.shown(), (entry) => `${entry.benchmark} of ${entry.submitter}, protocol ${entry.protocol}, ${entry.dataset}`);
      const several = [...runs].filter(([, list]) => new Set(list.map((entry) => entry.encoder)).size > 1);
      place.append(...several.map(([title, list]) => table(title, list)));
    }
    place.hidden = !place.hasChildNodes();
  };
};
