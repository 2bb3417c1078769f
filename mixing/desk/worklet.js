/* The console in the audio thread. */

/** Run through all of its code on noise: what has not run yet is slow, and would drop out when it is first heard. */
function warm(song, plan) {
  const blocks = Math.ceil((WARM_SECONDS * song.rate) / BLOCK);
  const engine = new Engine({ ...song, samples: Infinity }, plan);
  let seed = 1;
  const noise = Float32Array.from(
    { length: BLOCK * (blocks + 1) },
    () => (seed = (16807 * seed) % 2147483647) / 2147483647 - 0.5,
  );
  song.sounds.forEach((sound, n) => engine.take(n, 0, Array(sound.channels).fill(noise)));
  engine.play(true);
  const sides = [new Float32Array(BLOCK), new Float32Array(BLOCK)];
  for (let n = 0; n < blocks; n++) engine.process(...sides);
}
const WARM_SECONDS = 0.5;

registerProcessor(
  "dasp-desk",
  class extends AudioWorkletProcessor {
    constructor({ processorOptions: { song, plan } }) {
      super();
      warm(song, plan);
      this.engine = new Engine(song, plan);
      this.silence = new Float32Array(BLOCK);
      this.blocks = 0;
      this.port.postMessage("warm");
      this.port.onmessage = ({ data }) => {
        const { engine } = this;
        if (data.plan) engine.apply(data.plan);
        if (data.loop !== undefined) engine.loop = data.loop;
        if (data.take) engine.take(...data.take);
        if (data.drop !== undefined) engine.drop(data.drop);
        if (data.seek !== undefined) engine.seek(data.seek);
        if (data.play !== undefined) engine.play(data.play);
      };
    }
    process(inputs, [[left, right]]) {
      this.engine.process(left, right ?? this.silence);
      if (++this.blocks % 12 === 0) this.port.postMessage(this.engine.read());
      return true;
    }
  },
);
