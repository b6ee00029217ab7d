// Brings the page to life.
"use strict";
(() => {
  const { $, state } = board;
  const form = $("#controls");
  const draw = () => {
    form.elements.lane.value = state.lane;
    if (form.elements.search.value !== state.search) form.elements.search.value = state.search;
    board.showFacets();
    board.showTable();
    board.showPlot();
    board.showPivot();
    board.toAddress();
  };
  board.facetsOf(draw);
  board.tableOf(draw);
  board.plotOf();
  board.pivotOf();
  board.copyOf();
  form.addEventListener("input", (event) => {
    if (!["lane", "search"].includes(event.target.name)) return;
    // Another lane asks another question: its own order comes first.
    if (event.target.name === "lane") [state.sort, state.down] = ["", false];
    state.lane = form.elements.lane.value;
    state.search = form.elements.search.value;
    draw();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.target.name !== "search") return;
    state.search = "";
    draw();
  });
  addEventListener("hashchange", () => {
    board.fromAddress();
    draw();
  });
  // On a phone the entries come first.
  $("#filter").open = !matchMedia("(max-width: 720px)").matches;
  form.hidden = false;
  board.fromAddress();
  draw();
  document.body.dataset.state = "live";
})();
