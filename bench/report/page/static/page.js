// Start the page. Vega's script comes after this one, so charts wait until the page has loaded.

const data = JSON.parse(document.getElementById("page-data").textContent);
const charts = new Charts(data.charts);
const details = new Details(data.trials, data.grids.trials, charts);
const grids = [...document.querySelectorAll("[data-grid]")].map(
  (root) => new Grid(root, data.grids[root.dataset.grid], (kind, key) => details.open(kind, key)),
);

window.addEventListener("beforeprint", () => grids.forEach((grid) => grid.print(true)));
window.addEventListener("afterprint", () => grids.forEach((grid) => grid.print(false)));
window.addEventListener("hashchange", () => details.fromAddress());
window.addEventListener("load", () => {
  charts.watch();
  details.fromAddress();
});
