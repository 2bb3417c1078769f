// The transport: play and pause, the place in the excerpt, a part of it as a loop.
"use strict";

(() => {
  const { element } = dasp;
  const STEP = 0.1; // s
  const SHORTEST = 0.5; // s, of a loop
  const clock = (s) => `${Math.floor(s / 60)}:${Math.floor(s % 60).toString().padStart(2, "0")}`;
  const tenths = (s) => `${s.toFixed(1)} s`;

  // engine: of the page. toggle: what the button does. Returns the element, and what the page calls now and then.
  dasp.player = (engine, toggle) => {
    const length = engine.whole;
    const range = (label, value) =>
      element("input", { type: "range", min: 0, max: length.toFixed(1), step: STEP, value, "aria-label": label });
    const button = element("button", { type: "button", class: "play", onclick: toggle }, "Play");
    const place = range("Position", 0);
    const time = element("output", { class: "time" }, "");
    const from = range("Loop from", 0);
    const to = range("Loop to", length.toFixed(1));
    const between = element("output", { class: "time" }, "");
    const whole = element("button", { type: "button" }, "Whole excerpt");
    let held = false;

    place.addEventListener("pointerdown", () => {
      held = true;
    });
    place.addEventListener("change", () => {
      held = false;
    });
    place.addEventListener("input", () => engine.seek(Number(place.value)));

    const loop = (moved) => {
      let [start, end] = [Number(from.value), Number(to.value)];
      if (end - start < SHORTEST) {
        if (moved === from) start = Math.max(0, end - SHORTEST);
        else end = Math.min(length, start + SHORTEST);
        [from.value, to.value] = [start, end];
      }
      const all = start < STEP && end > length - STEP;
      engine.loop(all ? null : { start, end: Math.min(end, length) });
      told();
    };
    from.addEventListener("change", () => loop(from));
    to.addEventListener("change", () => loop(to));
    from.addEventListener("input", () => told());
    to.addEventListener("input", () => told());
    whole.addEventListener("click", () => {
      [from.value, to.value] = [0, length];
      loop(to);
      dasp.say("The whole excerpt is played.");
    });

    const told = () => {
      between.textContent = `${tenths(Number(from.value))} to ${tenths(Number(to.value))}`;
      for (const input of [from, to]) input.setAttribute("aria-valuetext", tenths(Number(input.value)));
    };
    told();

    const update = () => {
      const now = engine.position();
      if (!held) place.value = now;
      place.setAttribute("aria-valuetext", `${clock(now)} of ${clock(length)}`);
      time.textContent = `${clock(now)} / ${clock(length)}`;
      button.textContent = engine.playing ? "Pause" : "Play";
      button.classList.toggle("on", engine.playing);
    };
    update();

    const row = (kind, name, ...children) =>
      element("div", { class: `transport ${kind}`, role: "group", "aria-label": name }, ...children);
    const made = element(
      "section",
      { class: "card player", "aria-label": "Playback" },
      row("place", "Place", button, place, time),
      row("loop", "Loop", element("span", { class: "small muted" }, "Loop"), from, to, between, whole),
    );
    return { element: made, update };
  };
})();
