/* Above the strips: transport, versions to compare, the settings' file, keys. */

class Transport {
  constructor(desk, node) {
    this.desk = desk;
    const { song, player } = desk;
    this.length = song.samples / song.rate;
    this.button = el(
      "button",
      { type: "button", class: "play", disabled: true, "aria-label": "Play", onclick: () => player.play() },
      "▶",
    );
    this.loopButton = el(
      "button",
      {
        type: "button",
        class: "toggle loop",
        "aria-pressed": "false",
        "aria-label": "Loop",
        title: "Loop (L)",
        onclick: () => this.loop(),
      },
      "Loop",
    );
    const end = (which, text, label) =>
      el(
        "button",
        { type: "button", class: "end", "aria-label": label, title: `${label} (${text})`, onclick: () => this.end(which) },
        text,
      );
    const ends = el("span", { class: "ends" }, end(0, "[", "Loop begins here"), end(1, "]", "Loop ends here"));
    this.slider = el("input", {
      type: "range",
      min: 0,
      max: this.length.toFixed(3),
      step: 0.01,
      value: 0,
      "aria-label": "Position",
      oninput: () => player.seek(Number(this.slider.value)),
    });
    this.slider.addEventListener("keydown", (event) => this.key(event));
    this.region = el("span", { class: "region", hidden: true, "aria-hidden": "true" });
    this.time = el("span", { class: "time" }, "0:00");
    this.region.style.setProperty("--from", "0%");
    this.ends = [0, this.length];
    node.append(
      this.button,
      this.loopButton,
      ends,
      this.time,
      el("div", { class: "seek" }, this.region, this.slider),
      el("span", { class: "time" }, clock(this.length)),
    );
  }

  ready() {
    this.button.disabled = false;
  }

  /** Arrows move by a second, or five; the slider's own step is finer than anyone steps. */
  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.move(step);
  }

  move(seconds) {
    const { player, song } = this.desk;
    player.seek(Math.max(0, Math.min(this.length, player.meters.position / song.rate + seconds)));
  }

  loop(on = !this.desk.player.loop) {
    this.desk.player.setLoop(on ? this.ends : null);
    this.loopButton.setAttribute("aria-pressed", String(on));
    this.region.hidden = !on;
    this.region.style.setProperty("--from", `${(100 * this.ends[0]) / this.length}%`);
    this.region.style.setProperty("--to", `${(100 * this.ends[1]) / this.length}%`);
  }

  /** Put an end of the loop where the song is; the other end gives way. */
  end(which) {
    const { player, song } = this.desk;
    const now = player.meters.position / song.rate;
    this.ends[which] = now;
    if (this.ends[1] - this.ends[0] < 0.1) this.ends = which ? [0, Math.max(now, 0.1)] : [now, this.length];
    this.loop(true);
    this.desk.say(`Loop from ${clock(this.ends[0])} to ${clock(this.ends[1])}.`);
  }

  show({ position, playing, waiting }) {
    const { rate } = this.desk.song;
    const seconds = position / rate;
    if (this.playing !== playing) {
      this.playing = playing;
      this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
      this.button.textContent = playing ? "❚❚" : "▶";
      this.button.classList.toggle("on", playing);
    }
    if (this.waiting !== waiting) {
      if (waiting || this.waiting) this.desk.say(waiting ? "Loading …" : "");
      this.waiting = waiting;
      this.button.classList.toggle("waiting", Boolean(waiting));
    }
    const text = clock(seconds);
    if (this.time.textContent !== text) {
      this.time.textContent = text;
      this.slider.setAttribute("aria-valuetext", `${text} of ${clock(this.length)}`);
    }
    this.slider.value = seconds;
    this.slider.style.setProperty("--at", `${(100 * seconds) / this.length}%`);
  }
}

/** Which version is heard; the loudness of all; how loud they are. */
class Compare {
  constructor(desk, node) {
    this.desk = desk;
    const { song } = desk;
    this.radios = song.versions.map((version, n) => {
      const input = el("input", {
        type: "radio",
        name: "version",
        id: `version-${n}`,
        checked: n === 0,
        onchange: () => desk.listen(n),
      });
      const gain = el("span", { class: "gain" });
      const label = el(
        "label",
        { for: input.id, title: version.about },
        el("span", { class: "key", "aria-hidden": "true" }, String(n + 1)),
        el("span", { class: "who" }, version.name),
        gain,
      );
      return { input, gain, node: el("div", { class: "version" }, input, label) };
    });
    this.match = el("input", { type: "checkbox", id: "matched", checked: true, onchange: () => this.toggle() });
    this.again = el("button", { type: "button", onclick: () => this.measure() }, "Measure the mix");
    this.stale = el("span", { class: "stale", hidden: true });
    const monitor = { low: -40, high: 12, unit: "dB", scale: "linear" };
    this.level = new Field({
      label: "Listening level",
      title: "Listening level",
      param: monitor,
      get: () => desk.monitor,
      set: (value) => this.listenAt(value),
    });
    node.append(
      el("fieldset", { class: "versions" }, el("legend", {}, "Listen to"), ...this.radios.map((r) => r.node)),
      el(
        "div",
        { class: "matching" },
        el("div", { class: "check" }, this.match, el("label", { for: "matched" }, "At one loudness")),
        this.again,
        this.stale,
        this.level.node,
      ),
    );
  }

  toggle() {
    this.desk.matched = this.match.checked;
    this.desk.monitor = this.desk.room();
    this.desk.update();
  }

  listenAt(value) {
    this.desk.monitor = value;
    this.desk.update();
  }

  async measure() {
    this.again.disabled = true;
    try {
      await this.desk.measure();
    } catch (error) {
      this.desk.alert(error.message);
    }
    this.again.disabled = false;
  }

  update() {
    const { gains, version } = this.desk;
    this.radios.forEach(({ input, gain }, n) => {
      input.checked = n === version;
      const text = n === 0 ? "as it is" : written(gains[n], "dB");
      if (gain.textContent !== text) gain.textContent = text;
    });
    this.stale.hidden = !(this.desk.matched && this.desk.isStale);
    this.stale.textContent = this.desk.measuredText ? "measured before your changes" : "not measured yet";
    this.level.update();
  }
}

/** Undo, redo, reset; the settings' file. */
class Buttons {
  constructor(desk, node) {
    this.desk = desk;
    const { settings, song } = desk;
    const button = (text, title, press, kind = "") => el("button", { type: "button", title, class: kind, onclick: press }, text);
    this.undo = button("Undo", "Ctrl+Z", () => settings.undo());
    this.redo = button("Redo", "Ctrl+Shift+Z", () => settings.redo());
    this.reset = button("Reset", song.has_settings ? "To the model's settings" : "To the plain sum", () => settings.reset());
    this.file = el("input", {
      type: "file",
      id: "file",
      accept: ".json,application/json",
      class: "unseen",
      tabindex: "-1",
      "aria-label": "Settings file",
      onchange: () => this.load(),
    });
    const open = button("Load settings…", "A settings.json of these stems", () => this.file.click());
    const save = button("Save settings", "Downloads settings.json, for dasp apply-settings", () => this.save(), "primary");
    node.append(this.undo, this.redo, this.reset, open, this.file, save);
  }

  save() {
    const url = URL.createObjectURL(new Blob([this.desk.settings.text()], { type: "application/json" }));
    const link = el("a", { href: url, download: "settings.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    this.desk.say("settings.json saved: dasp apply-settings renders it with the exact effects.");
  }

  async load() {
    const [file] = this.file.files;
    if (!file) return;
    this.desk.alert("");
    try {
      this.desk.settings.load(await file.text());
      this.desk.say("Settings loaded.");
    } catch (error) {
      this.desk.alert(error.message);
    }
    this.file.value = "";
  }

  update() {
    const { settings } = this.desk;
    this.undo.disabled = !settings.past.length;
    this.redo.disabled = !settings.future.length;
    this.reset.disabled = !settings.isChanged;
  }
}

/** Keys of the whole page: they give way where a control has its own use for them. */
class Keys {
  constructor(desk) {
    this.desk = desk;
    document.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const { target, key } = event;
    const typing = target.matches("input[type=number]");
    if (event.ctrlKey || event.metaKey) {
      if (key.toLowerCase() === "z" && !typing)
        this.take(event, () => (event.shiftKey ? this.desk.settings.redo() : this.desk.settings.undo()));
      return;
    }
    if (event.altKey || typing) return;
    if (key === " " && target.matches("button, summary, a, input:not([type=range])")) return;
    const { transport, player, selected, strips } = this.desk;
    const next = (by) => {
      const strip = strips[(strips.indexOf(selected) + by + strips.length) % strips.length];
      this.desk.select(strip);
      strip.title.focus();
    };
    const actions = {
      " ": () => player.play(),
      l: () => transport.loop(),
      b: () => this.desk.listen(this.desk.before),
      "[": () => transport.end(0),
      "]": () => transport.end(1),
      m: () => selected.mute?.(),
      s: () => selected.solo?.(),
      ",": () => next(-1),
      ".": () => next(1),
    };
    const free = target.matches("body, button, section");
    if (free)
      Object.assign(actions, {
        ArrowLeft: () => transport.move(-5),
        ArrowRight: () => transport.move(5),
        Home: () => player.seek(0),
      });
    const version = Number(key) - 1;
    if (version >= 0 && version < this.desk.song.versions.length) this.take(event, () => this.desk.listen(version));
    else if (actions[key]) this.take(event, actions[key]);
  }

  take(event, action) {
    event.preventDefault();
    action();
  }
}
