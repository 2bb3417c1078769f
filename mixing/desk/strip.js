/* Channel strips: of a track, of a bus, and of the mix. */

/** The sections of all filters among effects, as coefficients. */
function rowsOf(effects, rate) {
  return effects.flatMap((e) => sectionsOf(e.effect, valuesOf(e)).map((section) => coefficients(section, rate)));
}

function valuesOf(entry) {
  return Object.fromEntries(Object.entries(entry.controls).map(([name, control]) => [name, control.value]));
}

const CURVED = ["Compressor", "NoiseGate"];

class Strip {
  constructor(desk, kind, number, name, about) {
    Object.assign(this, { desk, kind, number, name });
    this.fields = [];
    this.meter = new Meter();
    this.title = el(
      "button",
      { type: "button", class: "name", title: name, "aria-pressed": "false", onclick: () => desk.select(this) },
      el("span", {}, ...breakable(name)),
    );
    this.peak = el("span", { class: "peak", "aria-hidden": "true" });
    this.node = el("section", { class: `strip ${kind}`, "aria-label": about }, this.title, this.curves());
  }

  get state() {
    return this.desk.settings.state;
  }

  /** Small pictures of what the live effects do, which open them. */
  curves() {
    const effects = () => this.live().map(({ entry }) => entry());
    const { rate } = this.desk.song;
    const dynamic = effects().findIndex((e) => CURVED.includes(e.effect));
    if (effects().some((e) => sectionsOf(e.effect, valuesOf(e)).length))
      this.response = new Response(96, 40, rate, () => rowsOf(effects(), rate));
    if (dynamic >= 0) this.levels = new Levels(40, 40, effects()[dynamic].effect, () => valuesOf(effects()[dynamic]));
    this.reduction = el("i");
    const pictures = [this.response, this.levels].filter(Boolean).map((curve) => curve.node);
    return el(
      "button",
      {
        type: "button",
        class: "curves",
        "aria-label": `Effects of ${this.name}`,
        title: "All its controls",
        onclick: () => this.desk.select(this, true),
      },
      ...(pictures.length
        ? pictures
        : [
            el(
              "span",
              { class: "none" },
              effects()
                .map((e) => effectTitle(e.effect))
                .join(", ") || "No effects",
            ),
          ]),
      el("span", { class: "reduction", "aria-hidden": "true" }, this.reduction),
    );
  }

  add(field) {
    this.fields.push(field);
    return field.node;
  }

  /** A fader beside its meter. */
  fader(label, get, set) {
    const field = new Field({ label, param: this.desk.song.strip.fader_db, get, set, upright: true });
    const { low, high } = this.desk.song.strip.fader_db;
    return el(
      "div",
      { class: "level" },
      this.add(field),
      scale(low, high, [24, 12, 0, -12, -24, -36, -48]),
      this.meter.node,
      this.peak,
    );
  }

  update() {
    for (const field of this.fields) field.update();
    this.response?.update();
    this.levels?.update();
  }

  show(left, right, gain, fall) {
    this.meter.show(left, right, fall);
    const db = 20 * Math.log10(Math.max(gain, 1e-6));
    this.reduction.style.setProperty("--reduced", Math.min(1, -db / 24).toFixed(3));
    this.high = Math.max(this.high ?? 0, this.highest(left, right));
    const peak = this.high > 0 ? (20 * Math.log10(this.high)).toFixed(1).replace("-", "−") : "";
    if (this.peak.textContent !== peak) this.peak.textContent = peak;
    this.peak.classList.toggle("over", this.high > 1);
  }

  highest(left, right) {
    return Math.max(left, right);
  }
}

class TrackStrip extends Strip {
  constructor(desk, number) {
    const { name } = desk.settings.state.tracks[number];
    super(desk, "track", number, name, `Track ${name}`);
    const edit = (key, change) => desk.settings.edit(`track ${number} ${key}`, (state) => change(state.tracks[number]));
    const track = () => this.state.tracks[number];
    const sends = desk.song.buses
      .map((bus, b) => ({ ...bus, b }))
      .filter((bus) => bus.sound === null)
      .slice(0, 2);
    this.node.append(
      el("div", { class: "sends" }, ...sends.map((bus) => this.add(sendField(desk, number, bus.name, effectTitle(bus.name))))),
      this.add(
        panField({
          label: `${name} pan`,
          title: "Pan",
          param: desk.song.strip.pan,
          get: () => track().pan,
          set: (value) => edit("pan", (t) => (t.pan = value)),
        }),
      ),
      el(
        "div",
        { class: "buttons" },
        this.add(
          new Toggle({ text: "M", label: `Mute ${name}`, kind: "mute", get: () => track().mute, press: () => this.mute() }),
        ),
        this.add(
          new Toggle({
            text: "S",
            label: `Solo ${name}`,
            kind: "solo",
            get: () => desk.settings.solo.has(number),
            press: () => this.solo(),
          }),
        ),
      ),
      this.fader(
        `${name} fader`,
        () => track().fader_db,
        (value) => edit("fader", (t) => (t.fader_db = value)),
      ),
    );
  }
  live() {
    const { printed } = this.desk.song.tracks[this.number];
    return places(this.desk, this.name, ["tracks", this.number, "inserts"]).slice(printed);
  }
  mute() {
    this.desk.settings.edit(
      `track ${this.number} mute`,
      (state) => (state.tracks[this.number].mute = !state.tracks[this.number].mute),
    );
  }
  solo() {
    this.desk.settings.toggleSolo(this.number);
  }
  update() {
    super.update();
    this.node.classList.toggle("shut", !this.desk.settings.open(this.number));
  }
}

class BusStrip extends Strip {
  constructor(desk, number) {
    const { name } = desk.settings.state.buses[number];
    super(desk, "bus", number, effectTitle(name), `Bus ${name}`);
    this.node.append(
      el("p", { class: "kind" }, desk.song.buses[number].sound === null ? "Bus: follows the sends" : "Bus: played as rendered"),
    );
    this.node.append(
      el("div", { class: "level" }, scale(METER_LOW, METER_HIGH, [0, -12, -24, -36, -48]), this.meter.node, this.peak),
    );
  }
  live() {
    return this.desk.song.buses[this.number].sound === null
      ? places(this.desk, this.name, ["buses", this.number, "effects"])
      : [];
  }
}

class MasterStrip extends Strip {
  constructor(desk) {
    super(desk, "master", 0, "Mix", "The mix");
    const output = (value) => desk.settings.edit("output", (state) => (state.output_gain_db = value));
    this.node.append(
      el("p", { class: "kind" }, "Output gain"),
      this.fader("Output gain of the mix", () => this.state.output_gain_db, output),
    );
  }
  /** The peak in words is the mix's own, whatever is listened to. */
  highest() {
    return this.mixPeak ?? 0;
  }
  live() {
    return this.desk.settings.master.map((n) => places(this.desk, "mix", ["master"])[n]);
  }
}

/** A name that breaks at its own gaps where it has to. */
function breakable(name) {
  return name.split(/(?<=[_.-])/).flatMap((part) => [part, el("wbr")]);
}

/** Marks in dB beside a fader or a meter. */
function scale(low, high, marks) {
  const mark = (db) => {
    const node = el("span", {}, db > 0 ? `+${db}` : `${db}`.replace("-", "−"));
    node.style.setProperty("--share", ((db - low) / (high - low)).toFixed(4));
    return node;
  };
  return el("div", { class: "scale", "aria-hidden": "true" }, ...marks.map(mark));
}

/** Where the effects of a chain are: { who, key, entry() } for each, which outlives undo and load. */
function places(desk, who, way) {
  const chain = () => way.reduce((place, key) => place[key], desk.settings.state);
  return chain().map((_, i) => ({ who, key: `${way.join(".")}.${i}`, entry: () => chain()[i] }));
}

function sendField(desk, track, bus, title, label = "send to") {
  const { name } = desk.settings.state.tracks[track];
  return new Field({
    label: `${name} ${label} ${bus}`,
    title,
    param: desk.song.strip.send_db,
    get: () => desk.settings.state.tracks[track].sends_db[bus] ?? OFF_DB,
    set: (value) => desk.settings.edit(`track ${track} send ${bus}`, (state) => (state.tracks[track].sends_db[bus] = value)),
  });
}
