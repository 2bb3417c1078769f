/* Shelves, peaks and first-order filters: R. Bristow-Johnson's cookbook, as dasp/atoms/design.py. */

/** The sections of an effect: [kind, frequency in Hz, gain in dB, Q]; none where it is no filter. */
function sectionsOf(effect, values) {
  if (effect === "ParametricEQ") {
    const kinds = { low_shelf: "low_shelf", high_shelf: "high_shelf" };
    return bandsOf(effect).map((band) => sectionAt(kinds[band] ?? "peak", values, `${band}_`));
  }
  const kinds = { LowShelfFilter: "low_shelf", PeakFilter: "peak", HighShelfFilter: "high_shelf" };
  const first = { LowpassFilter: "low_pass", HighpassFilter: "high_pass" };
  if (effect in kinds) return [sectionAt(kinds[effect], values, "")];
  return effect in first ? [[first[effect], values.cutoff_frequency_hz, 0, 1]] : [];
}

/** The names in front of an effect's controls, one for each band. */
function bandsOf(effect) {
  return effect === "ParametricEQ" ? ["low_shelf", "peak1", "peak2", "peak3", "peak4", "high_shelf"] : [""];
}

function sectionAt(kind, values, prefix) {
  return [kind, values[`${prefix}cutoff_frequency_hz`], values[`${prefix}gain_db`], values[`${prefix}q`]];
}

/** Coefficients b0, b1, b2, a1, a2 with a0 = 1. */
function coefficients([kind, frequency, gain, q], rate) {
  const highest = rate / 2 - 100;
  let rows;
  if (kind === "low_pass" || kind === "high_pass") {
    const k = Math.tan((Math.PI * Math.min(frequency, highest)) / rate);
    rows = kind === "low_pass" ? [k, k, 0, k + 1, k - 1, 0] : [1, -1, 0, k + 1, k - 1, 0];
  } else {
    const w = (2 * Math.PI * Math.max(2, Math.min(Math.max(frequency, 0.01), highest))) / rate;
    const a = 10 ** (gain / 40);
    const sin = Math.sin(w);
    const cos = Math.cos(w);
    if (kind === "peak") {
      const alpha = sin / (2 * q);
      rows = [1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a];
    } else {
      const beta = (sin * Math.sqrt(a)) / q;
      const s = kind === "low_shelf" ? 1 : -1; // the high shelf is the low one with the signs of (A - 1) cos turned
      const turn = s * (a - 1) * cos;
      rows = [
        a * (a + 1 - turn + beta),
        s * 2 * a * (a - 1 - s * (a + 1) * cos),
        a * (a + 1 - turn - beta),
        a + 1 + turn + beta,
        s * -2 * (a - 1 + s * (a + 1) * cos),
        a + 1 + turn - beta,
      ];
    }
  }
  const [b0, b1, b2, a0, a1, a2] = rows;
  return [b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0];
}

/** The gain in dB of sections in a row at a frequency in Hz. */
function responseDb(rows, frequency, rate) {
  const w = (2 * Math.PI * frequency) / rate;
  const c1 = Math.cos(w);
  const s1 = Math.sin(w);
  const c2 = Math.cos(2 * w);
  const s2 = Math.sin(2 * w);
  let power = 1;
  for (const [b0, b1, b2, a1, a2] of rows) {
    const above = (b0 + b1 * c1 + b2 * c2) ** 2 + (b1 * s1 + b2 * s2) ** 2;
    power *= above / ((1 + a1 * c1 + a2 * c2) ** 2 + (a1 * s1 + a2 * s2) ** 2);
  }
  return 10 * Math.log10(Math.max(power, 1e-20));
}

/** Sections in a row, transposed direct form II. */
class Filter {
  constructor(rate, channels, effect) {
    this.rate = rate;
    this.effect = effect;
    this.channels = channels;
    this.state = new Float64Array(2 * channels * 6);
  }
  set(values) {
    this.use(sectionsOf(this.effect, values).map((section) => coefficients(section, this.rate)));
  }
  use(rows) {
    this.rows = rows;
  }
  process(channels, samples) {
    const { rows, state } = this;
    for (let r = 0; r < rows.length; r++) {
      const [b0, b1, b2, a1, a2] = rows[r];
      if (b0 === 1 && b1 === a1 && b2 === a2) continue; // flat
      for (let c = 0; c < channels.length; c++) {
        const x = channels[c];
        const place = 2 * (r * this.channels + c);
        let s1 = state[place];
        let s2 = state[place + 1];
        for (let i = 0; i < samples; i++) {
          const u = x[i];
          const y = b0 * u + s1;
          s1 = b1 * u - a1 * y + s2;
          s2 = b2 * u - a2 * y;
          x[i] = y;
        }
        state[place] = Math.abs(s1) < SILENT ? 0 : s1;
        state[place + 1] = Math.abs(s2) < SILENT ? 0 : s2;
      }
    }
  }
  reset() {
    this.state.fill(0);
  }
}

const PLAIN = { Compressor, Gain, Limiter, NoiseGate, Reverb };

/** The effect of a name, for so many channels. */
function effectOf(name, rate, channels) {
  return name in PLAIN ? new PLAIN[name](rate, channels) : new Filter(rate, channels, name);
}
