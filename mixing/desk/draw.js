/* Curves: the response of filters and the levels of a compressor, as SVG that takes its colours from the page. */

const LOW_HZ = 20;
const HIGH_HZ = 20000;
const RANGE_DB = 18; // above and below the middle of an equaliser's curve

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A picture whose line follows `points()`; `detail` draws its grid and labels. */
class Curve {
  constructor(width, height, kind, detail) {
    this.size = [width, height];
    this.line = svg("path", { class: "curve" });
    this.area = svg("path", { class: "area" });
    this.node = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: `plot ${kind}`, "aria-hidden": "true" });
    if (!detail) this.node.setAttribute("preserveAspectRatio", "none");
    this.grid = svg("g", { class: "grid" });
    this.node.append(this.grid, this.area, this.line);
  }

  draw(points, base) {
    const path = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    this.line.setAttribute("d", path);
    this.area.setAttribute(
      "d",
      base === undefined ? "" : `${path}L${points.at(-1)[0].toFixed(1)} ${base}L${points[0][0].toFixed(1)} ${base}Z`,
    );
  }

  rule(x1, y1, x2, y2, kind = "") {
    this.grid.append(svg("line", { x1, y1, x2, y2, class: kind }));
  }

  label(x, y, text, anchor = "middle") {
    const node = svg("text", { x, y, "text-anchor": anchor });
    node.textContent = text;
    this.grid.append(node);
  }
}

/** The response of filters: `rows()` gives the coefficients of their sections. */
class Response extends Curve {
  constructor(width, height, rate, rows, detail = false) {
    super(width, height, "response", detail);
    Object.assign(this, { rate, rows });
    const middle = height / 2;
    this.rule(0, middle, width, middle, "zero");
    if (!detail) return;
    for (const f of [50, 100, 200, 500, 1000, 2000, 5000, 10000]) {
      this.rule(this.x(f), 0, this.x(f), height);
      this.label(this.x(f) + 4, height - 6, f < 1000 ? `${f}` : `${f / 1000}k`, "start");
    }
    for (const db of [-12, -6, 6, 12]) {
      this.rule(0, this.y(db), width, this.y(db));
      this.label(4, this.y(db) - 4, `${db > 0 ? "+" : "−"}${Math.abs(db)} dB`, "start");
    }
  }
  x(frequency) {
    return (this.size[0] * Math.log(frequency / LOW_HZ)) / Math.log(HIGH_HZ / LOW_HZ);
  }
  frequency(x) {
    return LOW_HZ * (HIGH_HZ / LOW_HZ) ** (x / this.size[0]);
  }
  y(db) {
    return (this.size[1] / 2) * (1 - db / RANGE_DB);
  }
  db(y) {
    return RANGE_DB * (1 - (2 * y) / this.size[1]);
  }
  update() {
    const rows = this.rows();
    const top = Math.min(HIGH_HZ, this.rate / 2 - 1);
    const count = Math.round(this.size[0] / 3);
    const points = Array.from({ length: count + 1 }, (_, i) => {
      const frequency = Math.min(top, this.frequency((this.size[0] * i) / count));
      const y = this.y(responseDb(rows, frequency, this.rate));
      return [this.x(frequency), Math.max(1, Math.min(this.size[1] - 1, y))];
    });
    this.draw(points, this.size[1] / 2);
  }
}

const QUIET_DB = -60;

/** Level out over level in of a compressor or gate: `values()` gives its controls. */
class Levels extends Curve {
  constructor(width, height, effect, values, detail = false) {
    super(width, height, "levels", detail);
    Object.assign(this, { effect, values });
    this.rule(0, height, width, 0, "zero");
    if (!detail) return;
    for (const db of [-48, -36, -24, -12]) {
      this.rule(this.x(db), 0, this.x(db), height);
      this.rule(0, this.y(db), width, this.y(db));
      if (db < -12) this.label(this.x(db) + 3, height - 6, `−${-db}`, "start");
    }
    this.label(4, 14, "out dB", "start");
    this.label(width - 4, height - 6, "in dB", "end");
  }
  x(db) {
    return this.size[0] * (1 - db / QUIET_DB);
  }
  y(db) {
    return (this.size[1] * db) / QUIET_DB;
  }
  out(db) {
    const { threshold_db: threshold, ratio } = this.values();
    if (this.effect === "NoiseGate") return db > threshold ? db : db + (ratio - 1) * (db - threshold);
    return db < threshold ? db : threshold + (db - threshold) / ratio;
  }
  update() {
    const points = Array.from({ length: 61 }, (_, i) => {
      const db = QUIET_DB + i;
      return [this.x(db), Math.max(1, Math.min(this.size[1] - 1, this.y(this.out(db))))];
    });
    this.draw(points, this.size[1]);
  }
}
