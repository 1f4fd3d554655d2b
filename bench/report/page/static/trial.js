// The details that a row opens: a trial with its epochs, or a variant with its trials.

class Details {
  constructor(trials, table, charts) {
    Object.assign(this, { trials, table, charts });
    this.dialog = document.getElementById("details");
    this.title = document.getElementById("details-title");
    this.body = document.getElementById("details-body");
    this.rowOf = new Map(trials.keys.map((key, row) => [key, row]));
    document.getElementById("details-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.closed());
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-opens]");
      if (button) this.open(button.dataset.opens, button.dataset.key);
    });
  }

  open(kind, key) {
    const content = kind === "variant" ? this.variant(key) : this.trial(key);
    if (!content) return;
    this.body.replaceChildren(...content.filter(Boolean));
    if (!this.dialog.open) {
      this.before = document.activeElement;
      this.dialog.showModal();
    }
    this.dialog.scrollTop = 0;
    this.title.focus();
    if (this.waiting) this.charts.draw(...this.waiting);
    this.waiting = null;
    this.place(`#${kind}=${encodeURIComponent(key)}`);
  }

  closed() {
    this.place("#");
    this.before?.focus();
  }

  // Show the open details in the address, without scrolling. Some browsers forbid this for files.
  place(hash) {
    try {
      history.replaceState(null, "", hash);
    } catch {
      // The page works without it.
    }
  }

  fromAddress() {
    const found = /^#(trial|variant)=(.+)$/.exec(location.hash);
    if (found) this.open(found[1], decodeURIComponent(found[2]));
  }

  variant(key) {
    const values = this.trials.variants.values[key];
    if (!values) return null;
    this.title.textContent = `Variant ${values[0]}`;
    const rows = [...this.trials.variantKeys.keys()].filter((r) => this.trials.variantKeys[r] === key);
    const links = rows.map((row) => element("li", {}, this.link(row)));
    return [
      element("h3", {}, `Trials (${rows.length})`),
      element("ul", { className: "links" }, ...links),
      element("h3", {}, "Settings"),
      this.settings(key),
    ];
  }

  trial(key) {
    const row = this.rowOf.get(key);
    if (row === undefined) return null;
    this.title.textContent = `Trial ${key}`;
    const log = this.trials.logs[row];
    return [
      this.facts(this.table.titles.map((t, i) => [t, this.table.cells[i][row]])),
      ...this.epochs(row),
      log && element("h3", {}, "The end of its log"),
      log && element("pre", { tabIndex: 0 }, log),
      element("h3", {}, "Also measured"),
      this.facts(Object.entries(this.trials.columns).map(([t, cells]) => [t, cells[row]])),
      element("h3", {}, "Settings"),
      this.settings(this.trials.variantKeys[row]),
      this.repeat(row),
    ];
  }

  link(row) {
    const status = this.table.titles.indexOf("Status");
    const block = this.table.titles.indexOf("Block");
    const text = `block ${this.table.cells[block][row]}: ${this.table.cells[status][row]}`;
    const button = element("button", { type: "button" }, text);
    Object.assign(button.dataset, { opens: "trial", key: this.trials.keys[row] });
    return button;
  }

  repeat(row) {
    const key = this.trials.variantKeys[row];
    const button = element("button", { type: "button" }, "All trials of this variant");
    Object.assign(button.dataset, { opens: "variant", key });
    return element("p", {}, button);
  }

  settings(key) {
    const names = this.trials.variants.names;
    return this.facts(this.trials.variants.values[key].map((value, i) => [names[i], value]));
  }

  facts(pairs) {
    const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
    const entries = known.flatMap(([title, value]) => [
      element("dt", {}, title),
      element("dd", {}, String(value)),
    ]);
    return element("dl", {}, ...entries);
  }

  epochs(row) {
    const { epochs, epochCounts } = this.trials;
    if (!this.starts) {
      let sum = 0;
      this.starts = epochCounts.map((n) => (sum += n) - n);
    }
    const [start, count] = [this.starts[row], epochCounts[row]];
    if (!count) return [];
    const at = (name, i) => epochs[name]?.[start + i] ?? null;
    const values = [...Array(count).keys()].map((i) => ({
      epoch: at("epoch", i),
      kind: at("warmup", i) ? "warm-up" : "steady",
      time: at("epoch_s", i),
      loss: at("train_loss", i),
      accuracy: at("val_accuracy", i),
    }));
    const place = element("div", { className: "chart", role: "img" });
    place.setAttribute("aria-label", "Time of each epoch; the table below has the numbers");
    this.waiting = [place, "trial", { epochs: values }];
    return [element("h3", {}, "Epochs"), place, this.epochTable(values)];
  }

  epochTable(values) {
    const titles = { epoch: "Epoch", kind: "Kind", time: "Time (s)", loss: "Training loss", accuracy: "Validation accuracy" };
    const names = Object.keys(titles).filter((name) => values.some((v) => v[name] !== null));
    const head = names.map((name) => element("th", { scope: "col" }, titles[name]));
    const rows = values.map((value) => {
      const cells = names.map((name) => element("td", {}, String(value[name] ?? UNKNOWN)));
      return element("tr", {}, ...cells);
    });
    const table = element(
      "table", {},
      element("caption", {}, "Every epoch"),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...rows),
    );
    const scroll = element("div", { className: "scroll", tabIndex: 0, role: "region" }, table);
    scroll.setAttribute("aria-label", "Every epoch of this trial");
    return scroll;
  }
}
