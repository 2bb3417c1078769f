/* The console: the sound of a song from its pieces, its settings and what is being listened to, 128 samples at a time. It runs in
   the audio thread to be heard, and in the page to be measured.

   A plan says how it stands: { tracks: [{ fader, pan, open, sends: [dB], chain: [{ effect, values: [..] }] }],
   buses: [{ chain }], master: [{ effect, values }], output, version, gains: [dB of each version], monitor }. */

const GLIDE_SECONDS = 0.015; // time constant with which a control follows the hand
const FADE_BLOCKS = 4; // of starting, stopping and jumping

/** A gain that glides. */
class Ramp {
  constructor(value) {
    this.now = this.next = value;
  }
  step(target, share) {
    this.now = this.next;
    this.next += (target - this.next) * share;
    if (Math.abs(target - this.next) < 1e-6) this.next = target;
  }
  jump(target) {
    this.now = this.next = target;
  }
  get silent() {
    return this.now === 0 && this.next === 0;
  }
}

/** An effect whose controls glide; on a logarithmic scale where theirs is. */
class Unit {
  constructor({ effect, values }, table, rate, channels) {
    this.names = table.map((q) => q.name);
    this.logs = table.map((q) => q.scale === "log");
    this.effect = effectOf(effect, rate, channels);
    this.now = values.slice();
    this.target = values.slice();
    this.settle();
  }
  settle() {
    this.now = this.target.slice();
    this.set();
  }
  set() {
    this.effect.set(Object.fromEntries(this.names.map((name, i) => [name, this.now[i]])));
  }
  glide(share) {
    let moved = false;
    for (let i = 0; i < this.now.length; i++) {
      const from = this.now[i];
      const to = this.target[i];
      if (from === to) continue;
      const log = this.logs[i] && from > 0 && to > 0;
      const next = log ? from * (to / from) ** share : from + (to - from) * share;
      this.now[i] = Math.abs(next - to) <= 1e-4 * Math.abs(to) + 1e-6 ? to : next;
      moved = true;
    }
    if (moved) this.set();
  }
}

class Engine {
  constructor(song, plan) {
    this.song = song;
    this.share = 1 - Math.exp(-BLOCK / (song.rate * GLIDE_SECONDS));
    this.pieces = song.sounds.map(() => new Map());
    const chain = (entries, channels) => entries.map((entry) => new Unit(entry, song.tables[entry.effect], song.rate, channels));
    const sides = () => [new Float64Array(BLOCK), new Float64Array(BLOCK)];
    this.strips = song.tracks.map((track, n) => ({
      ...track,
      units: chain(plan.tracks[n].chain, track.channels),
      left: new Ramp(0),
      right: new Ramp(0),
      open: new Ramp(0),
      sends: song.buses.map(() => new Ramp(0)),
    }));
    this.buses = song.buses.map((bus, n) => ({
      ...bus,
      units: chain(plan.buses[n].chain, 2),
      sides: sides(),
      open: new Ramp(0),
    }));
    this.master = chain(plan.master, 2);
    this.output = new Ramp(0);
    this.weights = song.versions.map(() => new Ramp(0));
    this.work = sides();
    this.mix = sides();
    this.plain = sides();
    this.fade = new Ramp(0);
    this.peaks = new Float32Array(2 * (this.strips.length + this.buses.length + 1));
    this.mixPeak = 0;
    this.position = 0;
    this.playing = false;
    this.waiting = false;
    this.stalls = 0;
    this.jump = null;
    this.loop = null;
    this.apply(plan);
    this.settle();
  }

  /** Where the controls are to go. */
  apply(plan) {
    this.plan = plan;
    const aim = (units, entries) => units.forEach((unit, i) => (unit.target = entries[i].values.slice()));
    this.strips.forEach((strip, n) => aim(strip.units, plan.tracks[n].chain));
    this.buses.forEach((bus, n) => aim(bus.units, plan.buses[n].chain));
    aim(this.master, plan.master);
    this.targets = plan.tracks.map((track) => {
      const level = gainOf(track.fader);
      const angle = (track.pan * Math.PI) / 2;
      return {
        left: level * Math.cos(angle),
        right: level * Math.sin(angle),
        open: track.open ? 1 : 0,
        sends: track.sends.map((db) => gainOf(db)),
      };
    });
  }

  glide(share) {
    this.strips.forEach((strip, n) => {
      const target = this.targets[n];
      for (const unit of strip.units) unit.glide(share);
      strip.left.step(target.left, share);
      strip.right.step(target.right, share);
      strip.open.step(target.open, share);
      strip.sends.forEach((send, b) => send.step(target.sends[b], share));
    });
    this.buses.forEach((bus, n) => {
      for (const unit of bus.units) unit.glide(share);
      bus.open.step(this.plan.buses[n].open ? 1 : 0, share);
    });
    for (const unit of this.master) unit.glide(share);
    this.output.step(gainOf(this.plan.output), share);
    const monitor = gainOf(this.plan.monitor);
    this.weights.forEach((weight, v) => weight.step(v === this.plan.version ? monitor * gainOf(this.plan.gains[v]) : 0, share));
  }

  /** Every control where it is to go, at once; every effect as if nothing had been played. */
  settle() {
    for (const unit of this.units()) unit.settle();
    this.glide(1);
    this.glide(1);
    this.clear();
  }

  clear() {
    for (const unit of this.units()) unit.effect.reset();
  }

  *units() {
    for (const { units } of [...this.strips, ...this.buses]) yield* units;
    yield* this.master;
  }

  /** A piece of a sound: its channels. */
  take(sound, piece, channels) {
    this.pieces[sound].set(piece, channels);
  }

  drop(piece) {
    for (const held of this.pieces) held.delete(piece);
  }

  play(on) {
    this.playing = on;
    const place = this.jump ?? this.position;
    if (on && this.loop && place === this.loop[1]) this.seek(this.loop[0]);
    else if (on && place >= this.song.samples) this.seek(0);
  }

  seek(position) {
    const last = Math.max(0, Math.ceil(this.song.samples / BLOCK) - 1) * BLOCK;
    this.jump = Math.max(0, Math.min(last, BLOCK * Math.round(position / BLOCK)));
    if (this.fade.silent) this.land();
  }

  land() {
    this.position = this.jump;
    this.jump = null;
    this.clear();
  }

  /** The next block: left and right, (128,) each. False where nothing sounded. */
  process(left, right) {
    const moving = this.playing && this.jump === null;
    if (!moving && this.fade.silent) {
      if (this.jump !== null) this.land();
      this.waiting = false;
      return false;
    }
    const piece = Math.floor(this.position / this.song.piece);
    if (this.pieces.some((held) => !held.has(piece))) {
      if (!this.waiting) this.stalls++;
      this.waiting = true;
      this.fade.jump(0);
      return false;
    }
    this.waiting = false;
    this.glide(this.share);
    this.fade.now = this.fade.next;
    this.fade.next = Math.max(0, Math.min(1, this.fade.next + (moving ? 1 : -1) / FADE_BLOCKS));
    this.render(piece, this.position - piece * this.song.piece);
    this.listen(piece, this.position - piece * this.song.piece, left, right);
    this.advance();
    return true;
  }

  /** The mix and the plain sum of a block, whatever is listened to. */
  render(piece, offset) {
    const { work, mix, plain } = this;
    for (const side of [...mix, ...plain]) side.fill(0);
    for (const bus of this.buses) for (const side of bus.sides) side.fill(0);
    this.strips.forEach((strip, n) => {
      for (let c = 0; c < 2; c++) this.add(plain[c], strip.dry, piece, offset, c, strip.open);
      const sides = work.slice(0, strip.channels);
      for (let c = 0; c < sides.length; c++) {
        sides[c].fill(0);
        this.add(sides[c], strip.sound, piece, offset, c);
      }
      for (const unit of strip.units) unit.effect.process(sides, BLOCK);
      if (sides.length === 1) work[1].set(work[0]);
      [strip.left, strip.right].forEach((gain, c) => this.pass(work[c], gain, strip.open, mix[c], 2 * n + c));
      strip.sends.forEach((send, b) => {
        if (!send.silent) for (let c = 0; c < 2; c++) addRamped(this.buses[b].sides[c], work[c], send);
      });
    });
    this.buses.forEach((bus, b) => {
      if (bus.sound !== null) for (let c = 0; c < 2; c++) this.add(bus.sides[c], bus.sound, piece, offset, c, bus.open);
      for (const unit of bus.units) unit.effect.process(bus.sides, BLOCK);
      for (let c = 0; c < 2; c++) {
        const place = 2 * (this.strips.length + b) + c;
        for (let i = 0; i < BLOCK; i++) mix[c][i] += bus.sides[c][i];
        this.peaks[place] = Math.max(this.peaks[place], peakOf(bus.sides[c]));
      }
    });
    for (const unit of this.master) unit.effect.process(mix, BLOCK);
    for (const side of mix) {
      ramped(side, this.output);
      this.mixPeak = Math.max(this.mixPeak, peakOf(side));
    }
  }

  /** A strip's side through its gains, in place, and into the mix. */
  pass(x, gain, open, out, place) {
    const g = (gain.next - gain.now) / BLOCK;
    const o = (open.next - open.now) / BLOCK;
    let peak = this.peaks[place];
    for (let i = 0; i < BLOCK; i++) {
      x[i] *= (gain.now + g * i) * (open.now + o * i);
      out[i] += x[i];
      const size = Math.abs(x[i]);
      if (size > peak) peak = size;
    }
    this.peaks[place] = peak;
  }

  /** What is listened to: one version, or two while one fades into the other. */
  listen(piece, offset, left, right) {
    const out = [left, right];
    const place = this.peaks.length - 2;
    for (let c = 0; c < 2; c++) {
      const heard = this.work[c];
      heard.fill(0);
      this.weights.forEach((weight, v) => {
        if (weight.silent) return;
        if (v < 2) addRamped(heard, (v ? this.plain : this.mix)[c], weight);
        else this.add(heard, this.song.versions[v].sound, piece, offset, c, weight);
      });
      ramped(heard, this.fade);
      out[c].set(heard);
      this.peaks[place + c] = Math.max(this.peaks[place + c], peakOf(heard));
    }
  }

  /** Add a channel of a sound to a block. */
  add(out, sound, piece, offset, channel, ramp = null) {
    const held = this.pieces[sound].get(piece);
    const x = held[Math.min(channel, held.length - 1)];
    const scale = this.song.sounds[sound].gain;
    const start = scale * (ramp ? ramp.now : 1);
    const slope = ramp ? (scale * (ramp.next - ramp.now)) / BLOCK : 0;
    for (let i = 0; i < BLOCK; i++) out[i] += x[offset + i] * (start + slope * i);
  }

  advance() {
    this.position += BLOCK;
    if (this.loop && this.playing && this.position >= this.loop[1] && this.position - BLOCK < this.loop[1]) {
      this.position = this.loop[0];
    }
    if (this.position >= this.song.samples) {
      this.playing = false;
      this.fade.jump(0);
    }
    if (this.jump !== null && this.fade.silent) this.land();
  }

  /** What the meters show, since they were last read: peaks of both sides of every strip, bus and of what is heard; least gains. */
  read() {
    const least = (units) => {
      let gain = 1;
      for (const { effect } of units) {
        if (effect.reduced === undefined) continue;
        gain *= effect.reduced;
        effect.reduced = 1;
      }
      return gain;
    };
    const found = {
      position: this.jump ?? this.position,
      playing: this.playing,
      waiting: this.waiting,
      stalls: this.stalls,
      peaks: this.peaks.slice(),
      mixPeak: this.mixPeak,
      gains: Float32Array.from([
        ...this.strips.map((s) => least(s.units)),
        ...this.buses.map((b) => least(b.units)),
        least(this.master),
      ]),
    };
    this.peaks.fill(0);
    this.mixPeak = 0;
    return found;
  }
}

function ramped(x, ramp) {
  const slope = (ramp.next - ramp.now) / BLOCK;
  for (let i = 0; i < BLOCK; i++) x[i] *= ramp.now + slope * i;
}

function addRamped(out, x, ramp) {
  const slope = (ramp.next - ramp.now) / BLOCK;
  for (let i = 0; i < BLOCK; i++) out[i] += x[i] * (ramp.now + slope * i);
}

function peakOf(x) {
  let peak = 0;
  for (let i = 0; i < BLOCK; i++) {
    const size = Math.abs(x[i]);
    if (size > peak) peak = size;
  }
  return peak;
}
