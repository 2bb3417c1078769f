/* The effects of the strip that is selected, with all their controls. */

class Details {
  constructor(desk, node) {
    this.desk = desk;
    this.node = node;
    this.parts = [];
    new ResizeObserver(
      () =>
        this.strip &&
        Math.abs(node.clientWidth - this.width) > 8 &&
        !node.contains(document.activeElement) &&
        this.open(this.strip),
    ).observe(node);
  }

  /** Show a strip's effects. */
  open(strip) {
    this.strip = strip;
    this.width = this.node.clientWidth;
    this.parts = [];
    this.title = el("h2", { tabindex: "-1", id: "details-title" }, strip.name);
    const sections = grouped(strip.live()).map((group) => this.section(group));
    this.node.replaceChildren(
      el("header", {}, this.title, el("p", { class: "muted" }, this.about(strip))),
      el("div", { class: "sections" }, ...this.ready(strip), ...sections, ...this.sends(strip)),
    );
    if (!sections.length) this.node.lastChild.append(el("p", { class: "muted" }, "No effect that the page plays."));
    this.update();
  }

  about(strip) {
    const { song } = this.desk;
    if (strip.kind === "bus")
      return song.buses[strip.number].sound === null
        ? "Effect bus: the sum of the sends to it."
        : "Effect bus, played as it was rendered: it follows no fader, and is silent while a track is soloed.";
    if (strip.kind === "master") return "Everything together.";
    const track = song.settings.tracks[strip.number];
    const lag = track.lag_samples;
    const moved = lag ? `, moved ${Math.abs(lag)} samples ${lag > 0 ? "earlier" : "later"}` : "";
    return [
      `${song.tracks[strip.number].channels === 1 ? "Mono" : "Stereo"} stem${moved}.`,
      ...(track.flags ?? []).map((f) => `${f[0].toUpperCase()}${f.slice(1)}.`),
    ].join(" ");
  }

  /** What the page does not play itself. */
  ready(strip) {
    const { song, settings } = this.desk;
    const { tracks, buses, master } = settings.state;
    const lists = {
      track: () => tracks[strip.number].inserts.slice(0, song.tracks[strip.number].printed),
      bus: () => (song.buses[strip.number].sound === null ? [] : buses[strip.number].effects),
      master: () => song.skipped.map((n) => master[n]),
    };
    const entries = lists[strip.kind]();
    if (!entries.length) return [];
    const said =
      strip.kind === "master"
        ? "Not heard here, but in the exact render"
        : "Printed: in the sound as it is rendered, and fixed here";
    const row = (e) => [el("dt", {}, effectTitle(e.effect)), el("dd", {}, this.values(e) || "no controls")];
    return [el("section", { class: "card" }, el("h3", {}, said), el("dl", {}, ...entries.flatMap(row)))];
  }

  values(entry) {
    return this.desk.song.tables[entry.effect]
      .map((q) => `${controlTitle(q.name)} ${written(entry.controls[q.name].value, q.unit)}`)
      .join(", ");
  }

  section(group) {
    if (group.filters) return this.equaliser(group.places);
    const [place] = group.places;
    const { effect } = place.entry();
    const fields = this.desk.song.tables[effect].map((q) => this.field(place, q));
    const card = el("section", { class: "card" }, el("h3", {}, effectTitle(effect)));
    if (CURVED.includes(effect)) {
      const curve = new Levels(240, 200, effect, () => valuesOf(place.entry()), true);
      this.parts.push(curve);
      card.classList.add("dynamics");
      card.append(curve.node);
    }
    card.append(el("div", { class: "fields" }, ...fields));
    return card;
  }

  /** Filters in a row: one curve with a handle for each band. */
  equaliser(group) {
    const { rate } = this.desk.song;
    // As wide as it is drawn, so that its labels are not stretched.
    const width = Math.max(280, Math.min(1640, this.node.clientWidth - 34));
    const curve = new Response(
      width,
      width < 600 ? 200 : 240,
      rate,
      () =>
        rowsOf(
          group.map((place) => place.entry()),
          rate,
        ),
      true,
    );
    const bands = group.flatMap((place) => {
      const { effect } = place.entry();
      return bandsOf(effect).map((band) => ({
        place,
        prefix: band && `${band}_`,
        title: effectTitle(band ? `${band}_` : effect),
      }));
    });
    this.parts.push(curve, ...bands.map((band, n) => new Handle(this.desk, curve, band, n + 1)));
    const column = ({ place, prefix, title }, n) => {
      const table = this.desk.song.tables[place.entry().effect].filter((q) => q.name.startsWith(prefix));
      return el(
        "div",
        { class: "band" },
        el("h4", {}, el("span", { class: "badge", "aria-hidden": "true" }, String(n + 1)), title),
        ...table.map((q) => this.field(place, q, prefix, title)),
      );
    };
    return el(
      "section",
      { class: "card wide" },
      el("h3", {}, "Equaliser"),
      curve.node,
      el("div", { class: "bands" }, ...bands.map(column)),
    );
  }

  field(place, q, prefix = "", group = effectTitle(place.entry().effect)) {
    const title = controlTitle(q.name, prefix);
    const field = new Field({
      label: `${place.who} ${group} ${title}`,
      title,
      param: q,
      get: () => place.entry().controls[q.name].value,
      set: (value) => setControl(this.desk, place, { [q.name]: value }),
    });
    this.parts.push(field);
    return field.node;
  }

  sends(strip) {
    const { song } = this.desk;
    const buses = strip.kind === "track" ? song.buses.filter((bus) => bus.sound === null) : [];
    if (!buses.length) return [];
    const fields = buses.map((bus) => sendField(this.desk, strip.number, bus.name, effectTitle(bus.name), "sends:"));
    this.parts.push(...fields);
    return [
      el(
        "section",
        { class: "card" },
        el("h3", {}, "Sends, behind the fader"),
        el("div", { class: "fields" }, ...fields.map((f) => f.node)),
      ),
    ];
  }

  update() {
    for (const part of this.parts) part.update();
  }
}

/** Effects in order, with filters that follow one another in one group. */
function grouped(found) {
  const groups = [];
  for (const place of found) {
    const filters = sectionsOf(place.entry().effect, valuesOf(place.entry())).length > 0;
    if (filters && groups.at(-1)?.filters) groups.at(-1).places.push(place);
    else groups.push({ filters, places: [place] });
  }
  return groups;
}

/** Set controls of an effect, within their ranges. What is set by hand is no longer undetermined. */
function setControl(desk, place, values) {
  desk.settings.edit(`${place.key} ${Object.keys(values)}`, () => {
    const entry = place.entry();
    for (const q of desk.song.tables[entry.effect]) {
      if (q.name in values) entry.controls[q.name] = { value: Math.max(q.low, Math.min(q.high, values[q.name])), unit: q.unit };
    }
  });
}

/** The handle of a band: across is its frequency, up is its gain. Its fields do the same from the keyboard. */
class Handle {
  constructor(desk, curve, { place, prefix }, number) {
    Object.assign(this, { desk, curve, place });
    this.frequency = `${prefix}cutoff_frequency_hz`;
    this.gain = `${prefix}gain_db`;
    this.number = svg("text", { "text-anchor": "middle", dy: "0.35em" });
    this.number.textContent = number;
    this.node = svg("g", { class: "handle" }, svg("circle", { r: 20, class: "reach" }), svg("circle", { r: 10 }), this.number);
    curve.node.append(this.node);
    this.node.addEventListener("pointerdown", (event) => {
      this.node.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    this.node.addEventListener("pointermove", (event) => {
      if (this.node.hasPointerCapture(event.pointerId)) this.move(event);
    });
  }
  move(event) {
    const box = this.curve.node.getBoundingClientRect();
    const [width, height] = this.curve.size;
    const x = ((event.clientX - box.left) * width) / box.width;
    const y = ((event.clientY - box.top) * height) / box.height;
    const values = { [this.frequency]: this.curve.frequency(x) };
    if (this.gain in this.place.entry().controls) values[this.gain] = this.curve.db(y);
    setControl(this.desk, this.place, values);
  }
  update() {
    const { controls } = this.place.entry();
    const x = this.curve.x(controls[this.frequency].value);
    const y = this.curve.y(controls[this.gain]?.value ?? 0);
    const [width, height] = this.curve.size;
    const inside = (v, size) => Math.max(11, Math.min(size - 11, v)).toFixed(1);
    this.node.setAttribute("transform", `translate(${inside(x, width)} ${inside(y, height)})`);
  }
}
