// A table with sorting, filters and pages. `data` holds its values by column.

const MOST_PRINTED = 1000;
const UNKNOWN = "–";

function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

// The sort key of a cell: its leading number in a numeric column, null if it is unknown.
function sortKey(value, numeric) {
  if (value === null || value === UNKNOWN || value === "") return null;
  if (typeof value === "number" || !numeric) return value;
  if (value.startsWith("∞") || value === "not reached") return Infinity;
  if (value.startsWith("−∞")) return -Infinity;
  const number = parseFloat(value);
  return Number.isNaN(number) ? null : number;
}

function compared(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

class Grid {
  constructor(root, data, open) {
    Object.assign(this, { root, data, open, page: 0, sorted: -1, down: false, printing: false });
    this.all = data.cells.length ? data.cells[0].map((_, row) => row) : [];
    this.rows = this.all;
    this.body = root.querySelector("tbody");
    this.headers = [...root.querySelectorAll("thead th")];
    this.headers.forEach((header, column) => {
      header.querySelector("button").addEventListener("click", () => this.sort(column));
    });
    this.filter = root.querySelector("input[type=search]");
    this.filter.addEventListener("input", () => this.select());
    this.count = root.querySelector(".count");
    this.choices = data.choices.map((column) => this.choice(column)).filter(Boolean);
    this.pager = root.querySelector(".pager");
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button.open");
      if (button) this.open(data.opens, data.keys[Number(button.dataset.row)]);
    });
    root.querySelector(".controls").hidden = this.all.length < 2;
    this.draw();
  }

  choice(column) {
    const values = [...new Set(this.data.cells[column])].filter((value) => value !== null);
    if (values.length < 2) return null;
    const id = `${this.root.dataset.grid}-choice-${column}`;
    const select = element("select", { id }, new Option(`all`, ""));
    values.sort(compared).forEach((value) => select.append(new Option(value, value)));
    select.addEventListener("change", () => this.select());
    const label = element("label", { htmlFor: id }, this.data.titles[column]);
    this.root.querySelector(".choices").append(label, select);
    return { column, select };
  }

  // Select the rows that contain every word of the filter and each chosen value.
  select() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = this.choices.filter(({ select }) => select.value !== "");
    this.rows = this.all.filter((row) => {
      if (chosen.some(({ column, select }) => String(this.data.cells[column][row]) !== select.value)) {
        return false;
      }
      const text = words.length ? this.text(row) : "";
      return words.every((word) => text.includes(word));
    });
    this.page = 0;
    this.order();
    this.draw();
  }

  text(row) {
    this.texts ??= [];
    return (this.texts[row] ??= this.data.cells.map((cells) => cells[row] ?? "").join(" ").toLowerCase());
  }

  sort(column) {
    this.down = this.sorted === column ? !this.down : false;
    this.sorted = column;
    this.headers.forEach((header, index) => {
      const direction = this.down ? "descending" : "ascending";
      header.setAttribute("aria-sort", index === column ? direction : "none");
    });
    this.page = 0;
    this.order();
    this.draw();
  }

  order() {
    if (this.sorted < 0) return;
    const cells = this.data.cells[this.sorted];
    const numeric = this.data.numeric[this.sorted];
    const keys = new Map(this.rows.map((row) => [row, sortKey(cells[row], numeric)]));
    const sign = this.down ? -1 : 1;
    this.rows = [...this.rows].sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return sign * compared(x, y) || a - b;
    });
  }

  draw() {
    const size = this.printing ? MOST_PRINTED : this.data.pageRows;
    const first = this.printing ? 0 : this.page * size;
    const shown = this.rows.slice(first, first + size);
    this.body.replaceChildren(...shown.map((row) => this.row(row)));
    const found = this.rows.length;
    const all = this.all.length;
    this.count.textContent = found === all ? `${all} rows` : `${found} of ${all} rows`;
    this.drawPager(first, size, found);
  }

  row(row) {
    const tableRow = element("tr");
    this.data.cells.forEach((cells, column) => {
      const text = cells[row] === null ? UNKNOWN : String(cells[row]);
      const cell = element(column ? "td" : "th");
      if (column) cell.className = this.data.styles[column];
      else cell.scope = "row";
      if (column === 0 && this.data.opens) {
        const button = element("button", { type: "button", className: "open" }, text);
        button.dataset.row = row;
        cell.append(button);
      } else {
        cell.append(text);
      }
      const marks = this.data.marks[`${row},${column}`];
      if (marks) cell.append(element("sup", {}, marks.join(" ")));
      tableRow.append(cell);
    });
    return tableRow;
  }

  drawPager(first, size, found) {
    this.pager.hidden = found <= size;
    if (this.pager.hidden) return;
    const last = Math.ceil(found / size) - 1;
    const turn = (label, page, off) => {
      const button = element("button", { type: "button", disabled: off }, label);
      button.addEventListener("click", () => {
        this.page = page;
        this.draw();
        const again = [...this.pager.querySelectorAll("button")].find((b) => b.textContent === label);
        (again.disabled ? this.pager.querySelector("button:not(:disabled)") : again).focus();
      });
      return button;
    };
    this.pager.replaceChildren(
      turn("First", 0, this.page === 0),
      turn("Previous", this.page - 1, this.page === 0),
      element("span", {}, `${first + 1} to ${Math.min(found, first + size)} of ${found}`),
      turn("Next", this.page + 1, this.page === last),
      turn("Last", last, this.page === last),
    );
  }

  print(printing) {
    this.printing = printing;
    this.draw();
  }
}
