// The shown rows as Markdown, LaTeX, CSV or JSON: copied or saved.
"use strict";
board.copyOf = () => {
  const { $, heads, state } = board;
  const value = (triple) => triple ? `${triple[0].toFixed(2)} [${triple[1].toFixed(2)}, ${triple[2].toFixed(2)}]` : "–";
  const cell = (entry, key) => {
    switch (key) {
      case "value": return `${value(entry.value)} ${entry.metric}`;
      case "clean": case "utility": case "accuracy": return value(entry[key]);
      case "rank": return `${entry.rank[0] === entry.rank[1] ? entry.rank[0] : `${entry.rank[0]}–${entry.rank[1]}`} of ${entry.rank[2]}`;
      case "worst": return entry.worst ? `${entry.worst.value.toFixed(2)} ${entry.worst.metric} of ${entry.worst.attack}, found by ${entry.worst.by}` : "–";
      case "change": return entry.change === null ? "–" : `${entry.change < 0 ? "−" : "+"}${Math.abs(entry.change).toFixed(2)}`;
      case "seeds": return String(entry.seeds.length);
      default: return String(entry[key] ?? "–");
    }
  };
  const shown = () => {
    const keys = heads.map((th) => th.dataset.key).filter((key) => state.columns.has(key));
    const titles = keys.map((key) => heads.find((th) => th.dataset.key === key).textContent);
    return [titles, ...board.shown().map((entry) => keys.map((key) => cell(entry, key)))];
  };
  const markdown = () => {
    const line = (cells) => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |\n`;
    const [head, ...rows] = shown();
    return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
  };
  const latex = () => {
    const marks = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--", "−": "$-$" };
    const escaped = (text) => text.replace(/[\\~^–−&%$#_{}]/g, (mark) => marks[mark] ?? `\\${mark}`);
    const line = (cells) => `${cells.map(escaped).join(" & ")} \\\\\n`;
    const [head, ...rows] = shown();
    return `\\begin{tabular}{${"l".repeat(head.length)}}\n\\hline\n${line(head)}\\hline\n${rows.map(line).join("")}\\hline\n\\end{tabular}\n`;
  };
  const plain = ({ tr, mark, text, at, order, ...entry }) => entry;
  const csv = () => {
    const quote = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const triple = (name) => [name, `${name}_lo`, `${name}_hi`];
    const head = ["lane", "attack", "defense", "metric", ...triple("value"), ...triple("clean"), ...triple("utility"), "rank_first", "rank_last", "rank_of", "n", "seeds", "encoder", "dataset", "benchmark", "submitter", "protocol"];
    const numbers = (list) => list ?? ["", "", ""];
    const row = (e) => [e.lane, e.attack, e.defense, e.metric, ...numbers(e.value), ...numbers(e.clean), ...numbers(e.utility), ...e.rank, e.n, e.seeds.join(" "), e.encoder, e.dataset, e.benchmark, e.submitter, e.protocol];
    return [head, ...board.shown().map(row)].map((line) => line.map((field) => quote(String(field))).join(",")).join("\n") + "\n";
  };
  const json = () => JSON.stringify(board.shown().map(plain), null, 1);
  const save = (text, name, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const told = $("#told");
  const copy = async (text, what) => {
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = `${board.shown().length} rows copied as ${what}`;
    } catch {
      save(text, `leaderboard.${what === "LaTeX" ? "tex" : what === "CSV" ? "csv" : "md"}`, "text/plain");
      told.textContent = `This browser does not copy; saved as ${what}`;
    }
  };
  const kinds = {
    markdown: () => copy(markdown(), "Markdown"),
    latex: () => copy(latex(), "LaTeX"),
    csv: () => copy(csv(), "CSV"),
    "save-csv": () => save(csv(), "leaderboard.csv", "text/csv"),
    "save-json": () => save(json(), "leaderboard.json", "application/json"),
  };
  for (const button of document.querySelectorAll("[data-export]")) button.addEventListener("click", kinds[button.dataset.export]);
  board.texts = { markdown, latex, csv, json };
};
