/* Transport: pieces are loaded a little ahead of where the song is, and handed to the console in the audio thread. */

const AHEAD = 2; // pieces after the one that is playing
const LATENCY_SECONDS = 0.06; // soon enough for a fader, late enough for a busy machine

class Player {
  constructor(song, carrier, plan) {
    this.song = song;
    this.carrier = carrier;
    this.plan = plan;
    this.pieces = Math.ceil(song.samples / song.piece);
    this.held = new Map(); // piece -> the promise of its being there
    this.early = []; // what was loaded before there was an audio thread
    this.meters = { position: 0, playing: false, waiting: false, stalls: 0 };
    this.loop = null;
    this.node = null;
    this.target = null; // of a jump
    this.onmeters = () => {};
    this.onproblem = () => {};
  }

  /** The song's beginning is there, and it can be played. */
  open() {
    return this.hold(0);
  }

  async start() {
    this.context = new AudioContext({ sampleRate: this.song.rate, latencyHint: LATENCY_SECONDS });
    this.context.suspend(); // until everything is in its place
    await addWorklet(this.context);
    this.node = new AudioWorkletNode(this.context, "dasp-desk", {
      numberOfInputs: 0,
      outputChannelCount: [2],
      processorOptions: { song: engineSong(this.song), plan: this.plan() },
    });
    this.node.port.onmessage = ({ data }) => {
      if (data === "warm") return this.warmed();
      // What was sent before a jump was heard of is not where the song is.
      if (Math.abs(data.position - (this.target ?? data.position)) > this.song.rate) data.position = this.target;
      else this.target = null;
      this.meters = data;
      this.fill();
      this.onmeters(data);
    };
    for (const take of this.early) this.give(take);
    this.early = [];
    this.node.port.postMessage({ loop: this.loop });
    if (this.meters.position) this.node.port.postMessage({ seek: this.meters.position });
    this.node.connect(this.context.destination);
    // A browser may make the processor only when the context runs.
    await Promise.race([new Promise((warm) => (this.warmed = warm)), new Promise((late) => setTimeout(late, 3000))]);
  }

  async play(on = !this.meters.playing) {
    try {
      if (!this.node) await (this.starting ??= this.start());
      await this.context.resume();
    } catch (error) {
      this.onproblem(`The browser does not play this page's sound (${error.message}).`);
      return;
    }
    this.send({ play: on });
    this.fill();
  }

  /** To a place in seconds. */
  seek(seconds) {
    const place = Math.max(0, Math.min(this.song.samples - 1, Math.round((seconds * this.song.rate) / BLOCK) * BLOCK));
    this.meters = { ...this.meters, position: place };
    if (this.node) this.target = place;
    this.send({ seek: place });
    this.fill();
  }

  /** Repeat from a second to another; null for no repeating. */
  setLoop(region) {
    const block = (seconds) => Math.round((seconds * this.song.rate) / BLOCK) * BLOCK;
    this.loop = region && [
      block(region[0]),
      Math.min(Math.max(block(region[1]), block(region[0]) + BLOCK), Math.ceil(this.song.samples / BLOCK) * BLOCK),
    ];
    this.send({ loop: this.loop });
    this.fill();
  }

  update() {
    this.send({ plan: this.plan() });
  }

  send(message) {
    this.node?.port.postMessage(message);
  }

  get wanted() {
    const now = Math.min(Math.floor(this.meters.position / this.song.piece), this.pieces - 1);
    const all = Array.from({ length: AHEAD + 1 }, (_, k) => now + k).filter((piece) => piece < this.pieces);
    if (this.loop) all.push(Math.floor(this.loop[0] / this.song.piece));
    return [...new Set(all)];
  }

  async fill() {
    if (this.filling) return;
    this.filling = true;
    try {
      for (;;) {
        const { wanted } = this;
        const next = wanted.find((piece) => !this.held.has(piece));
        if (next === undefined) break;
        for (const piece of [...this.held.keys()]) {
          if (piece !== wanted[0] - 1 && !wanted.includes(piece)) this.forget(piece);
        }
        await this.hold(next);
      }
    } catch (error) {
      this.onproblem(error.message);
    } finally {
      this.filling = false;
    }
  }

  hold(piece) {
    const loading = inTurn(this.song.sounds.length, async (sound) => {
      if (!this.wanted.includes(piece)) return this.forget(piece); // the song has jumped meanwhile
      const take = [sound, piece, await this.carrier.load(sound, piece)];
      if (!this.held.has(piece)) return;
      if (this.node) this.give(take);
      else this.early.push(take);
    });
    this.held.set(piece, loading);
    return loading;
  }

  forget(piece) {
    if (!this.held.delete(piece)) return;
    this.early = this.early.filter((take) => take[1] !== piece);
    this.send({ drop: piece });
  }

  give(take) {
    this.node.port.postMessage(
      { take },
      take[2].map((x) => x.buffer),
    );
  }

  /** What reached the loudspeaker late, as far as the browser counts it, and how often the console had to wait for a piece. */
  get dropouts() {
    const stats = this.context?.playbackStats;
    return {
      stalls: this.meters.stalls,
      underruns: stats?.underrunEvents ?? null,
      underrunSeconds: stats?.underrunDuration ?? null,
      seconds: this.context?.currentTime ?? 0,
    };
  }
}

/** What the engine needs of the song: that and nothing more crosses into the audio thread. */
function engineSong({ rate, samples, piece, sounds, tracks, buses, versions, tables }) {
  return { rate, samples, piece, sounds, tracks, buses, versions, tables };
}

/** Code from the page itself: a page of the file system may not load it from elsewhere, and Chromium not from a Blob. */
async function addWorklet(context) {
  const code = ["sound", "worklet"].map((id) => document.getElementById(id).textContent).join("\n");
  try {
    await context.audioWorklet.addModule(`data:text/javascript;charset=utf-8,${encodeURIComponent(code)}`);
  } catch {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
  }
}

/** A task for each number, a few at a time. */
async function inTurn(count, task, together = 4) {
  let next = 0;
  const one = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: together }, one));
}

/** The song through the console from its beginning, as fast as it goes: `each(left, right, samples)` for every block. */
async function renderSong(song, carrier, plan, each, progress = () => {}) {
  const engine = new Engine(engineSong(song), plan);
  const left = new Float32Array(BLOCK);
  const right = new Float32Array(BLOCK);
  engine.playing = true;
  engine.fade.jump(1);
  let rested = performance.now();
  for (let at = 0; at < song.samples; at += BLOCK) {
    const piece = at / song.piece;
    if (Number.isInteger(piece)) {
      await inTurn(song.sounds.length, async (sound) => engine.take(sound, piece, await carrier.load(sound, piece)));
      if (piece) engine.drop(piece - 1);
    }
    engine.process(left, right);
    each(left, right, Math.min(BLOCK, song.samples - at));
    if (performance.now() - rested > 30) {
      progress(at / song.samples);
      await new Promise((go) => setTimeout(go));
      rested = performance.now();
    }
  }
}
