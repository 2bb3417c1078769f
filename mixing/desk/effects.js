"use strict";
const BLOCK = 128; // samples that Web Audio renders at a time
/* Effects with the equations that dasp renders with (dasp/effects), in double precision. Each works in place on one or two
   channels of a block: set(values by control name), process(channels, samples), reset(). `reduced` is the least gain of a
   dynamics effect since it was last looked at. */

/** Decibels to gain, exactly 0 at or below the floor. */
function gainOf(db, floor = -100) {
  return db <= floor ? 0 : 10 ** (db / 20);
}

/** The pole of a follower; the time is 2 pi times the time constant, as in Pedalboard. */
function poleOf(ms, rate) {
  return ms < 1e-3 ? 0 : Math.exp((-2000 * Math.PI) / (rate * ms));
}

const SILENT = 1e-15; // below it a state counts as 0: numbers that are smaller still would slow every operation

class Gain {
  set(values) {
    this.gain = gainOf(values.gain_db);
  }
  process(channels, samples) {
    for (const x of channels) for (let i = 0; i < samples; i++) x[i] *= this.gain;
  }
  reset() {}
}

class Compressor {
  constructor(rate, channels) {
    this.rate = rate;
    this.level = new Float64Array(channels);
    this.reduced = 1;
  }
  set({ threshold_db, ratio, attack_ms, release_ms }) {
    this.threshold = gainOf(threshold_db, -200);
    this.exponent = 1 / ratio - 1;
    this.attack = poleOf(attack_ms, this.rate);
    this.release = poleOf(release_ms, this.rate);
  }
  process(channels, samples) {
    const { threshold, exponent, attack, release } = this;
    let least = this.reduced;
    for (let c = 0; c < channels.length; c++) {
      const x = channels[c];
      let level = this.level[c];
      for (let i = 0; i < samples; i++) {
        const key = Math.abs(x[i]);
        level = key + (key > level ? attack : release) * (level - key);
        if (level >= threshold) {
          const gain = (level / threshold) ** exponent;
          if (gain < least) least = gain;
          x[i] *= gain;
        }
      }
      this.level[c] = level < SILENT ? 0 : level;
    }
    this.reduced = least;
  }
  reset() {
    this.level.fill(0);
  }
}

class NoiseGate {
  constructor(rate, channels) {
    this.rate = rate;
    this.square = new Float64Array(channels);
    this.level = new Float64Array(channels);
    this.fall = poleOf(50, rate);
    this.reduced = 1;
  }
  set({ threshold_db, ratio, attack_ms, release_ms }) {
    this.threshold = gainOf(threshold_db, -200);
    this.exponent = ratio - 1;
    this.attack = poleOf(attack_ms, this.rate);
    this.release = poleOf(release_ms, this.rate);
  }
  process(channels, samples) {
    const { threshold, exponent, attack, release, fall } = this;
    let least = this.reduced;
    for (let c = 0; c < channels.length; c++) {
      const x = channels[c];
      let square = this.square[c];
      let level = this.level[c];
      for (let i = 0; i < samples; i++) {
        const power = x[i] * x[i];
        square = power > square ? power : power + fall * (square - power);
        const key = Math.sqrt(square);
        level = key + (key > level ? attack : release) * (level - key);
        if (level <= threshold) {
          const gain = (level / threshold) ** exponent;
          if (gain < least) least = gain;
          x[i] *= gain;
        }
      }
      this.square[c] = square < SILENT ? 0 : square;
      this.level[c] = level < SILENT ? 0 : level;
    }
    this.reduced = least;
  }
  reset() {
    this.square.fill(0);
    this.level.fill(0);
  }
}

class Limiter {
  constructor(rate, channels) {
    this.leveller = new Compressor(rate, channels);
    this.leveller.set({ threshold_db: -10, ratio: 4, attack_ms: 2, release_ms: 200 });
    this.peaks = new Compressor(rate, channels);
  }
  get reduced() {
    return this.leveller.reduced * this.peaks.reduced;
  }
  set reduced(value) {
    this.leveller.reduced = this.peaks.reduced = value;
  }
  set({ threshold_db, release_ms }) {
    this.peaks.set({ threshold_db, ratio: 1000, attack_ms: 0, release_ms });
    this.makeup = 10 ** 0.1875 * gainOf(-threshold_db);
  }
  process(channels, samples) {
    this.leveller.process(channels, samples);
    this.peaks.process(channels, samples);
    for (const x of channels) for (let i = 0; i < samples; i++) x[i] = Math.max(-1, Math.min(1, x[i] * this.makeup));
  }
  reset() {
    this.leveller.reset();
    this.peaks.reset();
  }
}

const COMBS = [1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617];
const ALL_PASSES = [556, 441, 341, 225];
const SPREAD = 23;

/** Freeverb: a side's combs and all-passes. */
class Room {
  constructor(rate, side) {
    const line = (n) => new Float64Array(Math.floor((Math.floor(rate) * (n + side * SPREAD)) / 44100));
    this.combs = COMBS.map(line);
    this.allPasses = ALL_PASSES.map(line);
    this.at = new Int32Array(COMBS.length + ALL_PASSES.length);
    this.damped = new Float64Array(COMBS.length);
  }
  process(input, out, samples, feedback, damping) {
    out.fill(0, 0, samples);
    for (let k = 0; k < this.combs.length; k++) {
      const line = this.combs[k];
      let at = this.at[k];
      let low = this.damped[k];
      for (let i = 0; i < samples; i++) {
        const y = line[at];
        low = y * (1 - damping) + low * damping;
        const stored = input[i] + feedback * low;
        line[at] = stored < SILENT && stored > -SILENT ? 0 : stored;
        out[i] += y;
        if (++at === line.length) at = 0;
      }
      this.at[k] = at;
      this.damped[k] = Math.abs(low) < SILENT ? 0 : low;
    }
    for (let k = 0; k < this.allPasses.length; k++) {
      const line = this.allPasses[k];
      let at = this.at[COMBS.length + k];
      for (let i = 0; i < samples; i++) {
        const delayed = line[at];
        const stored = out[i] + 0.5 * delayed;
        line[at] = stored < SILENT && stored > -SILENT ? 0 : stored;
        out[i] = delayed - out[i];
        if (++at === line.length) at = 0;
      }
      this.at[COMBS.length + k] = at;
    }
  }
  reset() {
    for (const line of [...this.combs, ...this.allPasses]) line.fill(0);
    this.damped.fill(0);
  }
}

class Reverb {
  constructor(rate, channels) {
    this.rooms = Array.from({ length: channels }, (_, side) => new Room(rate, side));
    this.input = new Float64Array(BLOCK);
    this.wet = this.rooms.map(() => new Float64Array(BLOCK));
  }
  set({ room_size, damping, wet_level, dry_level, width }) {
    this.feedback = 0.7 + 0.28 * room_size;
    this.damping = 0.4 * damping;
    this.same = 1.5 * wet_level * (1 + width);
    this.across = 1.5 * wet_level * (1 - width);
    this.dry = 2 * dry_level;
  }
  process(channels, samples) {
    const { input, wet, same, across, dry } = this;
    const [left, right] = channels;
    for (let i = 0; i < samples; i++) input[i] = 0.015 * (right ? left[i] + right[i] : left[i]);
    this.rooms.forEach((room, side) => room.process(input, wet[side], samples, this.feedback, this.damping));
    if (!right) {
      for (let i = 0; i < samples; i++) left[i] = same * wet[0][i] + dry * left[i];
      return;
    }
    for (let i = 0; i < samples; i++) {
      left[i] = same * wet[0][i] + across * wet[1][i] + dry * left[i];
      right[i] = same * wet[1][i] + across * wet[0][i] + dry * right[i];
    }
  }
  reset() {
    for (const room of this.rooms) room.reset();
  }
}
