/* The sound beside the page: scripts whose strings are FLAC, byte for byte (mixing/desk/carry.py). */

class Carrier {
  constructor(song) {
    this.song = song;
    this.expected = new Map();
    this.bytes = 0;
    // Decodes at the song's rate, so that the samples are those of the file.
    this.decoder = new OfflineAudioContext(1, 1, song.rate);
  }

  /** A piece of a sound: its channels, as Float32Array. */
  async load(sound, piece) {
    const name = `audio/${String(sound).padStart(3, "0")}-${String(piece).padStart(4, "0")}.js`;
    const content = await this.run(name, `${sound}.${piece}`);
    const { channels, problem } = await this.decode(content);
    if (problem) throw new Error(`${name} is damaged (${problem}): copy the folder again.`);
    return channels;
  }

  run(name, key) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      this.expected.set(key, done);
      script.charset = "x-user-defined";
      script.src = name;
      const end = (problem) => {
        script.remove();
        if (this.expected.delete(key)) failed(new Error(`${name} ${problem}: copy the whole folder.`));
      };
      script.onload = () => end("is damaged");
      script.onerror = () => end("is missing");
      document.head.append(script);
    });
  }

  /** What a script calls. */
  receive(sound, piece, length, checksum, text) {
    const key = `${sound}.${piece}`;
    const done = this.expected.get(key);
    this.expected.delete(key);
    if (done) done({ length, checksum, bytes: bytesOf(text) });
  }

  async decode({ length, checksum, bytes }) {
    if (bytes.length !== length) return { problem: `${bytes.length} bytes of ${length}` };
    if (adler32(bytes) !== checksum) return { problem: "its checksum is another" };
    this.bytes += length;
    try {
      const buffer = await this.decoder.decodeAudioData(bytes.buffer);
      if (buffer.length !== this.song.piece) return { problem: `${buffer.length} samples of ${this.song.piece}` };
      return { channels: Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c).slice()) };
    } catch (error) {
      return { problem: error.message };
    }
  }
}

/** In x-user-defined a byte above 127 is a character of the private use area whose low byte it is. */
function bytesOf(text) {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function adler32(bytes) {
  let a = 1;
  let b = 0;
  for (let i = 0; i < bytes.length;) {
    const end = Math.min(bytes.length, i + 3800); // as long as the sums stay below 2^32
    for (; i < end; i++) b += a += bytes[i];
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}
