/* Controls: numbers with their slider, buttons that stay down, and how values are written. */

/** An element. What is a string among the children is text, never markup. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A number as people write it, with the sign that typographers use. */
function written(value, unit) {
  const minus = (text) => text.replace("-", "−");
  if (unit === "dB")
    return value <= -199 ? "off" : minus(`${value >= 0.05 ? "+" : ""}${(Math.abs(value) < 0.05 ? 0 : value).toFixed(1)} dB`);
  if (unit === "Hz") return value < 1000 ? `${value.toFixed(0)} Hz` : `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} kHz`;
  if (unit === "ms") return `${value >= 10 ? value.toFixed(0) : value.toFixed(value >= 1 ? 1 : 2)} ms`;
  if (unit === "dB/dB") return `${value.toFixed(1)}:1`;
  return minus(value.toFixed(2));
}

/** A pan in [0, 1] as engineers write it. */
function writtenPan(value) {
  const percent = Math.round((value - 0.5) * 200);
  return percent === 0 ? "C" : `${percent < 0 ? "L" : "R"} ${Math.abs(percent)} %`;
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

/** "low_shelf_gain_db" -> "gain". */
function controlTitle(name, prefix = "") {
  const words = name
    .slice(prefix.length)
    .replace(/_(db|hz|ms)$/, "")
    .replaceAll("_", " ");
  const title = { "cutoff frequency": "frequency", q: "Q" }[words] ?? words;
  return title[0].toUpperCase() + title.slice(1);
}

/** "LowShelfFilter" -> "Low shelf"; "peak1_" -> "Peak 1". */
function effectTitle(name) {
  if (name === "ParametricEQ") return "Equaliser";
  const words = name
    .replace(/Filter$/, "")
    .replace(/_$/, "")
    .replaceAll("_", " ")
    .replace(/([a-z])([A-Z0-9])/g, "$1 $2")
    .toLowerCase();
  return words[0].toUpperCase() + words.slice(1);
}

const STEPS = 1000;

/**
 * A slider with its number: both say what `get()` says, and tell `set(value)`.
 *
 * label: for those who do not see it; title: what stands beside it, by default nothing; param: { low, high, unit, scale };
 * upright: a fader; numeric: how the number is typed, { to, from, unit, low, high, step }, by default the value itself.
 */
class Field {
  constructor({ label, title, param, get, set, upright = false, text = (v) => written(v, param.unit), numeric = {} }) {
    Object.assign(this, { param, get, set, text });
    this.numeric = {
      to: (v) => v,
      from: (v) => v,
      unit: param.unit === "dB/dB" ? ":1" : param.unit,
      low: param.low,
      high: param.high,
      ...numeric,
    };
    const log = param.scale === "log";
    this.place = (v) =>
      STEPS *
      (log
        ? Math.log(Math.max(v, 1e-9) / param.low) / Math.log(param.high / param.low)
        : (v - param.low) / (param.high - param.low));
    this.value = (u) =>
      log ? param.low * (param.high / param.low) ** (u / STEPS) : param.low + ((param.high - param.low) * u) / STEPS;
    const decibels = param.unit === "dB";
    this.slider = el("input", {
      type: "range",
      min: decibels ? param.low : 0,
      max: decibels ? param.high : STEPS,
      step: decibels ? 0.1 : 5,
      "aria-label": label,
      class: upright ? "upright" : "",
      "aria-orientation": upright ? "vertical" : "horizontal",
      oninput: () => set(decibels ? Number(this.slider.value) : this.value(Number(this.slider.value))),
    });
    this.decibels = decibels;
    this.entry = el("input", {
      type: "number",
      step: "any",
      min: this.numeric.low,
      max: this.numeric.high,
      inputmode: "decimal",
      "aria-label": `${label}, ${this.numeric.unit || "number"}`,
      onchange: () => this.typed(),
    });
    const number = el(
      "span",
      { class: "number" },
      this.entry,
      this.numeric.unit ? el("span", { class: "unit", "aria-hidden": "true" }, this.numeric.unit) : null,
    );
    this.node = el(
      "div",
      { class: upright ? "field upright" : "field" },
      title ? el("span", { class: "title", "aria-hidden": "true" }, title) : null,
      this.slider,
      number,
    );
    this.update();
  }

  typed() {
    const { low, high, from } = this.numeric;
    const given = Number(this.entry.value);
    if (this.entry.value.trim() !== "" && Number.isFinite(given)) this.set(from(Math.max(low, Math.min(high, given))));
    this.shown = undefined;
    this.update();
  }

  update() {
    const value = this.get();
    if (value === this.shown) return;
    this.shown = value;
    this.slider.value = this.decibels ? value : this.place(value);
    this.slider.setAttribute("aria-valuetext", this.text(value));
    this.slider.style.setProperty(
      "--at",
      `${(100 * (this.slider.value - this.slider.min)) / (this.slider.max - this.slider.min)}%`,
    );
    const number = this.numeric.to(value);
    const digits = Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
    this.entry.value = number <= -199 ? "" : String(Number(number.toFixed(digits)));
    this.entry.placeholder = number <= -199 ? "off" : "";
  }
}

/** A pan's field: typed in per cent from the left, -100, to the right, 100. */
function panField(options) {
  const numeric = { to: (v) => Math.round((v - 0.5) * 2000) / 10, from: (v) => 0.5 + v / 200, unit: "%", low: -100, high: 100 };
  return new Field({ ...options, text: writtenPan, numeric });
}

/** A button that stays down. */
class Toggle {
  constructor({ text, label, kind, get, press }) {
    this.get = get;
    this.node = el(
      "button",
      { type: "button", class: `toggle ${kind}`, "aria-label": label, title: label, onclick: press },
      text,
    );
    this.update();
  }
  update() {
    this.node.setAttribute("aria-pressed", String(Boolean(this.get())));
  }
}

/** Two bars that fall slowly, and the highest peak in words. */
class Meter {
  constructor() {
    this.bars = [0, 1].map(() => el("i"));
    this.node = el("div", { class: "meter", "aria-hidden": "true" }, ...this.bars.map((bar) => el("span", {}, bar)));
    this.shown = [METER_LOW, METER_LOW];
  }
  show(left, right, fall) {
    [left, right].forEach((peak, side) => {
      const db = 20 * Math.log10(Math.max(peak, 1e-6));
      this.shown[side] = Math.max(METER_LOW, db, this.shown[side] - fall);
      const share = (this.shown[side] - METER_LOW) / (METER_HIGH - METER_LOW);
      this.bars[side].style.setProperty("--level", Math.max(0, Math.min(1, share)).toFixed(3));
      this.bars[side].classList.toggle("over", db > 0);
    });
  }
}
const METER_LOW = -60;
const METER_HIGH = 6;
