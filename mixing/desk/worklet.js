/* The console in the audio thread. */
registerProcessor(
  "dasp-desk",
  class extends AudioWorkletProcessor {
    constructor({ processorOptions: { song, plan } }) {
      super();
      this.engine = new Engine(song, plan);
      this.silence = new Float32Array(BLOCK);
      this.blocks = 0;
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
