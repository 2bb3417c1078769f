/* Integrated loudness (ITU-R BS.1770) of stereo, with the filters of the meter that dasp measures with. */

class Loudness {
  constructor(song) {
    this.step = Math.round(0.1 * song.rate); // a quarter of a block of 0.4 s
    this.filter = new Filter(song.rate, 2, "");
    this.filter.use(song.weighting);
    this.work = [new Float64Array(BLOCK), new Float64Array(BLOCK)];
    this.steps = [];
    this.energy = 0;
    this.count = 0;
    this.peak = 0;
  }

  push(left, right, samples) {
    [left, right].forEach((side, c) => this.work[c].set(side));
    this.peak = Math.max(this.peak, peakOf(left), peakOf(right));
    this.filter.process(this.work, samples);
    for (let i = 0; i < samples; i++) {
      this.energy += this.work[0][i] ** 2 + this.work[1][i] ** 2;
      if (++this.count === this.step) {
        this.steps.push(this.energy / this.step);
        this.energy = this.count = 0;
      }
    }
  }

  /** In LUFS; null for silence and for less than a block. */
  get integrated() {
    const level = (power) => -0.691 + 10 * Math.log10(power);
    const mean = (powers) => powers.reduce((sum, p) => sum + p, 0) / powers.length;
    const blocks = this.steps.slice(3).map((_, i) => mean(this.steps.slice(i, i + 4)));
    const loud = blocks.filter((power) => power > 0 && level(power) >= -70);
    if (!loud.length) return null;
    const gate = level(mean(loud)) - 10;
    return level(mean(loud.filter((power) => level(power) > gate)));
  }
}
