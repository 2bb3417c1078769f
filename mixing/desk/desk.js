/* The page: strips, transport, versions to compare, and the settings' file. */

class Desk {
  constructor(song) {
    this.song = song;
    this.settings = new Settings(song);
    this.carrier = new Carrier(song);
    this.version = 0;
    this.before = 1; // the one that was listened to before
    this.matched = true;
    this.measured = { ...song.measured };
    this.measuredText = song.measured.loudness === null ? "" : JSON.stringify(song.settings);
    this.monitor = this.room();
    this.player = new Player(song, this.carrier, () => this.plan());
    this.settings.changed = () => this.update();
    this.player.onproblem = (text) => this.alert(text);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.byId = (id) => document.getElementById(id);
    this.build();
    this.keys = new Keys(this);
    requestAnimationFrame((time) => this.show(time));
  }

  build() {
    const { song } = this;
    const tracks = song.tracks.map((_, n) => new TrackStrip(this, n));
    const buses = song.buses.map((_, n) => new BusStrip(this, n));
    this.mixStrip = new MasterStrip(this);
    this.strips = [...tracks, ...buses, this.mixStrip];
    this.byId("strips").append(...this.strips.map((strip) => strip.node));
    this.details = new Details(this, this.byId("details"));
    this.compare = new Compare(this, this.byId("compare"));
    this.transport = new Transport(this, this.byId("transport"));
    this.buttons = new Buttons(this, this.byId("actions"));
    this.select(this.strips[0]);
    this.update();
  }

  /** The mix at its own level, as it is rendered and measured. */
  ownPlan(solo) {
    return this.settings.plan({ version: 0, gains: this.song.versions.map(() => 0), monitor: 0, solo });
  }

  plan() {
    return this.settings.plan({ version: this.version, gains: this.gains, monitor: this.monitor });
  }

  /** Gains in dB that bring every version to the loudness of the mix. */
  get gains() {
    const ours = this.measured.loudness;
    const gain = (other) => (this.matched && ours !== null && other.loudness !== null ? ours - other.loudness : 0);
    return this.song.versions.map((version, n) => (n === 0 ? 0 : gain(version)));
  }

  /** How far all have to be turned down so that none clips. */
  room() {
    const peaks = this.gains.map((gain, n) => gain + ((n === 0 ? this.measured : this.song.versions[n]).peak_db ?? -100));
    return Math.min(0, -Math.ceil(10 * (Math.max(...peaks) + 0.2)) / 10);
  }

  get isStale() {
    return JSON.stringify(this.settings.state) !== this.measuredText;
  }

  /** Measure the mix as it stands, and match the others to it. */
  async measure() {
    const text = JSON.stringify(this.settings.state);
    const meter = new Loudness(this.song);
    const progress = (share) => this.say(`Measuring the mix: ${Math.round(100 * share)} %`);
    await renderSong(this.song, this.carrier, this.ownPlan(false), (l, r, n) => meter.push(l, r, n), progress);
    this.measured = { loudness: meter.integrated, peak_db: meter.peak ? 20 * Math.log10(meter.peak) : null };
    this.measuredText = text;
    this.monitor = Math.min(this.monitor, this.room());
    this.say(
      `The mix has ${meter.integrated === null ? "no loudness" : `${written(meter.integrated, "")} LUFS`}; the others are matched to it.`,
    );
    this.update();
  }

  /** The mix as the page plays it, with what is soloed, from beginning to end. */
  async render() {
    const out = [0, 1].map(() => new Float32Array(this.song.samples));
    let at = 0;
    const keep = (left, right, samples) => {
      [left, right].forEach((side, c) => out[c].set(side.subarray(0, samples), at));
      at += samples;
    };
    await renderSong(this.song, this.carrier, this.ownPlan(true), keep);
    return out;
  }

  listen(version) {
    if (version !== this.version) this.before = this.version;
    this.version = version;
    this.update();
  }

  select(strip, go = false) {
    for (const other of this.strips) {
      other.node.classList.toggle("selected", other === strip);
      other.title.setAttribute("aria-pressed", String(other === strip));
    }
    this.selected = strip;
    this.details.open(strip);
    if (!go) return;
    this.details.title.focus({ preventScroll: true });
    this.details.node.scrollIntoView({ behavior: this.still.matches ? "auto" : "smooth", block: "nearest" });
  }

  update() {
    for (const strip of this.strips) strip.update();
    this.details.update();
    this.compare.update();
    this.buttons.update();
    this.player.update();
  }

  /** Meters and time, as often as the screen is drawn; four times a second for those who want less motion. */
  show(time) {
    requestAnimationFrame((next) => this.show(next));
    const passed = time - (this.shownAt ?? 0);
    if (passed < (this.still.matches ? 250 : 15)) return;
    this.shownAt = time;
    const { meters } = this.player;
    this.transport.show(meters);
    if (!meters.peaks) return;
    const fall = (passed / 1000) * 24;
    this.mixStrip.mixPeak = meters.mixPeak;
    this.strips.forEach((strip, n) => strip.show(meters.peaks[2 * n], meters.peaks[2 * n + 1], meters.gains[n], fall));
  }

  /** The song's beginning is loaded: from now on it can be played. */
  async open() {
    try {
      await this.player.open();
    } catch (error) {
      this.alert(error.message);
      return;
    }
    this.transport.ready();
    this.say(`Ready after ${(performance.now() / 1000).toFixed(1)} s. Space plays.`);
    this.player.fill();
  }

  say(text) {
    this.byId("status").textContent = text;
  }

  alert(text) {
    this.byId("alert").textContent = text;
  }
}

const song = JSON.parse(document.getElementById("song").textContent);
const desk = new Desk(song);

/** For the scripts that carry the sound, and for who wants to look behind the page. */
window.dasp = {
  piece: (...given) => desk.carrier.receive(...given),
  ready: desk.open(),
  render: () => desk.render(),
  desk,
};
