// Sounds come as scripts, since a page that is opened from disk may load nothing else: base64 of bare samples.
"use strict";

(() => {
  const CHANNELS = 2;
  const waiting = new Map();

  dasp.received = (name, data) => {
    const take = waiting.get(name);
    if (take) take(data);
  };

  const fetched = (name) =>
    new Promise((resolve, reject) => {
      const fail = () => reject(new Error(`The sound ${name} could not be loaded.`));
      const script = dasp.element("script", { src: `audio/${name}.js`, onerror: fail });
      script.addEventListener("load", () => {
        script.remove();
        waiting.delete(name);
        fail(); // without effect where the data has come
      });
      waiting.set(name, resolve);
      document.head.append(script);
    });

  // Interleaved little-endian integers of 16 or 24 bits as an AudioBuffer.
  dasp.decoded = (data, bits, rate) => {
    const text = atob(data);
    const width = bits / 8;
    const frames = text.length / width / CHANNELS;
    const scale = 1 / 2 ** (bits - 1);
    const buffer = new AudioBuffer({ length: frames, numberOfChannels: CHANNELS, sampleRate: rate });
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const samples = buffer.getChannelData(channel);
      for (let i = 0, at = channel * width; i < frames; i += 1, at += CHANNELS * width) {
        let value = 0;
        for (let byte = 0; byte < width; byte += 1) value |= text.charCodeAt(at + byte) << (32 - bits + 8 * byte);
        samples[i] = (value >> (32 - bits)) * scale;
      }
    }
    return buffer;
  };

  // All sounds of a page, by name; `progress` is told how many there are.
  dasp.load = async (test, page, progress) => {
    const names = page.reference ? [...page.stimuli, page.reference] : page.stimuli;
    const buffers = new Map();
    for (const name of names) {
      progress(buffers.size, names.length);
      buffers.set(name, dasp.decoded(await fetched(name), test.bits, test.rate));
    }
    return buffers;
  };
})();
