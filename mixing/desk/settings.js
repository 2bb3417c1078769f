/* The settings as they stand on the desk: changed, undone, saved and loaded; in the form of dasp's settings.json. */

const OFF_DB = -200; // a send that a track does not have
const AGAIN_MS = 900; // changes of one control that follow one another as fast are undone together

class Settings {
  constructor(song) {
    this.song = song;
    this.state = structuredClone(song.settings);
    this.past = [];
    this.future = [];
    this.solo = new Set();
    this.last = { key: "", time: 0 };
    this.changed = () => {};
  }

  /** Change the state in a way that can be undone. */
  edit(key, change) {
    const time = performance.now();
    if (key !== this.last.key || time - this.last.time > AGAIN_MS) {
      this.past.push(JSON.stringify(this.state));
      if (this.past.length > 200) this.past.shift();
    }
    this.last = { key, time };
    this.future = [];
    change(this.state);
    this.changed();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    if (!from.length) return;
    to.push(JSON.stringify(this.state));
    this.state = JSON.parse(from.pop());
    this.last.key = "";
    this.changed();
  }

  reset() {
    this.edit("reset", () => (this.state = structuredClone(this.song.settings)));
    this.last.key = "";
  }

  get isChanged() {
    return JSON.stringify(this.state) !== JSON.stringify(this.song.settings);
  }

  toggleSolo(track) {
    if (!this.solo.delete(track)) this.solo.add(track);
    this.changed();
  }

  /** Whether a track sounds. */
  open(track) {
    return !this.state.tracks[track].mute && (!this.solo.size || this.solo.has(track));
  }

  /** What the engine has to know; `solo`: whether what is soloed silences the others. */
  plan({ version, gains, monitor, solo = true }) {
    const { song, state } = this;
    const chain = (entries) =>
      entries.map((e) => ({ effect: e.effect, values: song.tables[e.effect].map((q) => e.controls[q.name].value) }));
    return {
      tracks: state.tracks.map((track, n) => ({
        fader: track.fader_db,
        pan: track.pan,
        open: solo ? this.open(n) : !track.mute,
        sends: song.buses.map((bus) => (bus.sound === null ? (track.sends_db[bus.name] ?? OFF_DB) : OFF_DB)),
        chain: chain(track.inserts.slice(song.tracks[n].printed)),
      })),
      buses: state.buses.map((bus, b) => ({
        open: !(solo && this.solo.size), // a return that is played as it is belongs to no track
        chain: song.buses[b].sound === null ? chain(bus.effects) : [],
      })),
      master: chain(this.master.map((n) => state.master[n])),
      output: state.output_gain_db,
      version,
      gains,
      monitor,
    };
  }

  /** Places of the master's effects that the page plays. */
  get master() {
    return this.state.master.map((_, n) => n).filter((n) => !this.song.skipped.includes(n));
  }

  /** The text of a settings.json. What the model measured of a track is left out where the track was changed. */
  text() {
    const out = structuredClone(this.state);
    if (this.isChanged) {
      delete out.metrics;
      out.tracks.forEach((track, n) => {
        if (JSON.stringify(track) === JSON.stringify(this.song.settings.tracks[n])) return;
        delete track.gain_reduction_db;
        delete track.flags;
      });
      const said = "Changed on the mixing desk.";
      out.notes = [...(out.notes ?? []).filter((note) => note !== said), said];
    }
    return `${JSON.stringify(out, null, 1)}\n`;
  }

  /** Take the settings of a file; an Error says why not. */
  load(text) {
    let found;
    try {
      found = JSON.parse(text);
    } catch {
      throw new Error("That file is not JSON: choose a settings.json.");
    }
    const next = this.fitted(found);
    this.edit("load", () => (this.state = next));
    this.last.key = "";
  }

  fitted(found) {
    const ours = this.song.settings;
    if (found?.schema !== ours.schema) throw new Error(`That file is no ${ours.schema} file.`);
    if (found.sample_rate !== ours.sample_rate)
      throw new Error(`Those settings are for ${found.sample_rate} Hz, the desk is at ${ours.sample_rate} Hz.`);
    const next = structuredClone(ours);
    for (const key of ["notes", "metrics", "provenance"]) {
      delete next[key];
      if (found[key] !== undefined) next[key] = found[key];
    }
    const list = (value) => (Array.isArray(value) ? value : []);
    const names = (of) => list(of).map((t) => t?.name);
    if (names(found.tracks).toSorted().join("\n") !== names(ours.tracks).toSorted().join("\n"))
      throw new Error("Those settings are of other tracks.");
    if (names(found.buses).join("\n") !== names(ours.buses).join("\n")) throw new Error("Those settings have other buses.");
    next.tracks = next.tracks.map((track, n) =>
      this.fittedTrack(
        track,
        found.tracks.find((t) => t.name === track.name),
        n,
      ),
    );
    next.buses.forEach((bus, b) => {
      bus.effects = this.fittedChain(
        `bus ${bus.name}`,
        bus.effects,
        found.buses[b].effects,
        this.song.buses[b].sound === null ? 0 : Infinity,
      );
    });
    next.master = this.fittedChain("the master", next.master, found.master ?? []);
    next.output_gain_db = number("output_gain_db", found.output_gain_db ?? 0, -200, 100);
    return next;
  }

  fittedTrack(ours, theirs, n) {
    const out = { ...ours };
    delete out.gain_reduction_db;
    delete out.flags;
    for (const key of ["gain_reduction_db", "flags"]) if (theirs[key] !== undefined) out[key] = theirs[key];
    if ((theirs.lag_samples ?? 0) !== ours.lag_samples)
      throw new Error(`${ours.name} has another lag in those settings: make the desk anew with dasp desk.`);
    out.fader_db = number(`${ours.name}: fader`, theirs.fader_db, -200, 100);
    out.pan = number(`${ours.name}: pan`, theirs.pan ?? 0.5, 0, 1);
    out.mute = theirs.mute === true;
    out.sends_db = {};
    for (const [bus, db] of Object.entries(theirs.sends_db ?? {})) {
      if (!this.song.buses.some((b) => b.name === bus))
        throw new Error(`${ours.name} has a send to ${bus}, which is no bus of the desk.`);
      out.sends_db[bus] = number(`${ours.name}: send`, db, -200, 100);
    }
    out.inserts = this.fittedChain(ours.name, ours.inserts, theirs.inserts ?? [], this.song.tracks[n].printed);
    return out;
  }

  /** A chain with the same effects as ours; those before `live` are in the sound that the desk carries, and cannot differ. */
  fittedChain(who, ours, theirs, live = 0) {
    const names = (chain) => chain.map((e) => e?.effect).join(", ");
    if (!Array.isArray(theirs) || names(theirs) !== names(ours))
      throw new Error(`${who} has other effects in those settings: make the desk anew with dasp desk.`);
    return ours.map((entry, i) => {
      const controls = {};
      for (const q of this.song.tables[entry.effect]) {
        const given = theirs[i].controls?.[q.name];
        const value = number(
          `${who}: ${entry.effect}'s ${q.name}`,
          given === undefined ? q.default : given?.value,
          q.low,
          q.high,
        );
        if (i < live && value !== entry.controls[q.name].value) {
          throw new Error(`${who}: ${entry.effect} is printed with other settings: make the desk anew with dasp desk.`);
        }
        controls[q.name] = { ...(given?.determined === undefined ? {} : { determined: given.determined }), value, unit: q.unit };
      }
      return { ...entry, controls };
    });
  }
}

function number(who, value, low, high) {
  const slack = 1e-9 * (high - low);
  if (typeof value !== "number" || !(value >= low - slack && value <= high + slack))
    throw new Error(`${who} must be a number from ${low} to ${high}.`);
  return value;
}
