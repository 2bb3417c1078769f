// Playback: all sounds of a page run together and only one is heard, so that switching keeps the place, without gap or click.
"use strict";

(() => {
  const LEAD = 0.02; // s between a wish and its start, since the audio runs ahead of the page
  const GAP = 0.001; // s between one change and the next
  const EDGE = 0.005; // s, fades at the ends of a loop (ITU-R BS.1534-3)
  const GATE = 0.02; // s, fades of a start and an end

  // How one sound gives way to another. APE: they cross, and the music has no hole. MUSHRA: one fades out before the other fades
  // in, since ITU-R BS.1534-3 forbids that they cross.
  const SWITCHES = { ape: { out: 0.02, wait: 0, in: 0.02 }, mushra: { out: 0.005, wait: 0.005, in: 0.005 } };

  // From one value to another along half a period of a cosine.
  const curve = (from, to) =>
    Float32Array.from({ length: 65 }, (_, i) => from + (to - from) * (0.5 - 0.5 * Math.cos((Math.PI * i) / 64)));

  // A gain whose changes are only ever added behind the last one: taking back one that has begun is what clicks.
  class Fader {
    constructor(context, value) {
      this.node = new GainNode(context, { gain: value });
      this.value = value;
    }

    go(value, at, seconds) {
      if (value === this.value) return;
      this.node.gain.setValueCurveAtTime(curve(this.value, value), at, seconds);
      this.value = value;
    }
  }

  // A part of a sound with faded ends, so that a loop has no click where it begins anew.
  const part = (buffer, start, end) => {
    const rate = buffer.sampleRate;
    const first = Math.round(start * rate);
    const length = Math.max(1, Math.round(end * rate) - first);
    const out = new AudioBuffer({ length, numberOfChannels: buffer.numberOfChannels, sampleRate: rate });
    const fade = Math.min(Math.round(EDGE * rate), length >> 1);
    for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
      const samples = buffer.getChannelData(channel).slice(first, first + length);
      for (let i = 0; i < fade; i += 1) {
        const gain = 0.5 - 0.5 * Math.cos((Math.PI * (i + 0.5)) / fade);
        samples[i] *= gain;
        samples[length - 1 - i] *= gain;
      }
      out.copyToChannel(samples, channel);
    }
    return out;
  };

  // Sounds that run together from one place on, over and over.
  class Take {
    constructor(context, output, buffers, heard, offset, at) {
      this.length = buffers.values().next().value.duration;
      this.offset = offset % this.length;
      this.at = at;
      this.gate = new Fader(context, 0);
      this.gate.node.connect(output);
      this.faders = new Map();
      this.sources = [];
      for (const [name, buffer] of buffers) {
        const fader = new Fader(context, name === heard ? 1 : 0);
        const source = new AudioBufferSourceNode(context, { buffer, loop: true });
        source.connect(fader.node).connect(this.gate.node);
        source.start(at, this.offset);
        this.faders.set(name, fader);
        this.sources.push(source);
      }
      this.gate.go(1, at, GATE);
    }

    place(now) {
      return (Math.max(0, now - this.at) + this.offset) % this.length;
    }

    hear(name, at, way) {
      for (const [other, fader] of this.faders) {
        if (other === name) fader.go(1, at + way.wait, way.in);
        else fader.go(0, at, way.out);
      }
    }

    end(at) {
      this.gate.go(0, at, GATE);
      this.sources.forEach((source) => source.stop(at + 2 * GATE));
      this.sources[0].addEventListener("ended", () => this.gate.node.disconnect());
    }
  }

  dasp.Engine = class {
    // buffers: name -> AudioBuffer, all of one length. gain: of the locked volume, linear. method: "ape" or "mushra".
    constructor(context, buffers, gain, method) {
      this.context = context;
      this.way = SWITCHES[method];
      this.buffers = buffers;
      this.whole = buffers.values().next().value.duration;
      this.master = new GainNode(context, { gain });
      this.master.connect(context.destination);
      this.heard = null;
      this.region = null;
      this.take = null;
      this.rest = 0;
      this.free = 0;
    }

    get playing() {
      return this.take !== null;
    }

    // When the next change can begin: after those that are under way.
    next() {
      const at = Math.max(this.context.currentTime + LEAD, this.free);
      this.free = at + Math.max(GATE, this.way.wait + this.way.in) + GAP;
      return at;
    }

    play(name) {
      const at = this.next();
      this.heard = name;
      if (this.take) this.take.hear(name, at, this.way);
      else this.begin(this.rest, at);
    }

    begin(offset, at) {
      const { region } = this;
      const sounds = region
        ? new Map([...this.buffers].map(([name, buffer]) => [name, part(buffer, region.start, region.end)]))
        : this.buffers;
      this.take = new Take(this.context, this.master, sounds, this.heard, offset, at);
    }

    pause() {
      if (!this.take) return;
      const at = this.next();
      this.rest = this.take.place(at);
      this.take.end(at);
      this.take = null;
    }

    // Seconds from the start of the excerpt.
    position() {
      const place = this.take ? this.take.place(this.context.currentTime) : this.rest;
      return place + (this.region ? this.region.start : 0);
    }

    seek(seconds) {
      const [start, end] = this.region ? [this.region.start, this.region.end] : [0, this.whole];
      this.rest = Math.min(Math.max(seconds, start), end - 0.001) - start;
      this.restart();
    }

    // Play a part over and over; null is all of it.
    loop(region) {
      const place = this.position();
      this.region = region;
      const [start, end] = region ? [region.start, region.end] : [0, this.whole];
      this.rest = place >= start && place < end ? place - start : 0;
      this.restart();
    }

    restart() {
      if (!this.take) return;
      const at = this.next();
      this.take.end(at);
      this.begin(this.rest, at);
    }

    volume(gain) {
      this.master.gain.setTargetAtTime(gain, this.context.currentTime, 0.02);
    }

    close() {
      this.pause();
    }
  };

  dasp.gain = (db) => 10 ** (db / 20);

  // One context for the whole test, at the sounds' own rate; a browser wakes it only where a person has pressed something.
  let context = null;
  dasp.audio = () => {
    context ||= new AudioContext({ sampleRate: dasp.test.rate, latencyHint: "interactive" });
    if (context.state === "suspended") context.resume();
    return context;
  };
})();
