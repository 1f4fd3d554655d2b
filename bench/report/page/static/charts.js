// Replace drawings by interactive charts of the same specification when they come near the window.

const PANEL = 340; // px: width of a panel with its axes; AXIS and GAP are the parts outside the plot
const AXIS = 55;
const GAP = 24;
const NARROW = 520;

class Charts {
  constructor(specs) {
    this.specs = specs;
    this.drawn = new Map();
    this.observer = new IntersectionObserver((entries) => this.near(entries), { rootMargin: "400px" });
  }

  watch() {
    document.querySelectorAll("[data-chart]").forEach((place) => this.observer.observe(place));
    let timer;
    window.addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.resized(), 250);
    });
  }

  near(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !this.drawn.has(target)) this.draw(target, target.dataset.chart);
    }
  }

  resized() {
    for (const [place, { key, width, datasets }] of [...this.drawn]) {
      if (!place.isConnected) this.drawn.delete(place);
      else if (Math.abs(place.clientWidth - width) > 8) this.draw(place, key, datasets);
    }
  }

  // Draw first, then replace the old drawing: nothing flickers, and a failure leaves the old one.
  async draw(place, key, datasets) {
    const width = place.clientWidth;
    const before = this.drawn.get(place);
    this.drawn.set(place, { key, width, datasets });
    const fresh = element("div", { ariaHidden: "true" });
    const { finalize } = await vegaEmbed(fresh, this.fitted(this.specs[key], width, datasets), {
      renderer: "svg",
      ast: true,
      actions: false,
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    });
    before?.finalize?.();
    place.replaceChildren(fresh);
    place.classList.add("interactive");
    this.drawn.set(place, { key, width, datasets, finalize });
  }

  fitted(original, width, datasets) {
    const spec = structuredClone(original);
    if (datasets) spec.datasets = { ...spec.datasets, ...datasets };
    const panels = spec.facet ? [spec.spec] : spec.concat;
    if (panels) {
      const columns = Math.max(1, Math.floor(width / PANEL));
      spec.columns = spec.concat ? Math.min(spec.columns, columns) : columns;
      for (const panel of panels) panel.width = Math.max(180, (width - AXIS) / spec.columns - GAP);
    } else {
      spec.width = Math.max(280, width);
      spec.autosize = { type: "fit-x", contains: "padding" };
    }
    if (width < NARROW) {
      spec.config.axisY = { ...spec.config.axisY, labelLimit: 120, labelFontSize: 10 };
      spec.config.legend = { ...spec.config.legend, columns: 2, labelLimit: 130 };
    }
    return spec;
  }
}
