// The volume is set once, and then locked.
"use strict";

(() => {
  const { element } = dasp;
  const QUIETEST = -40; // dB
  const TEXT = [
    "Play the sound, and set your computer and this slider to a comfortable level, as you like to listen to music. " +
      "All sounds of the test are equally loud.",
    "From then on the volume is locked. Please leave your computer's alone as well, since people like better what is louder.",
  ];

  dasp.volumePage = async (leave) => {
    const waiting = element("p", { class: "muted", role: "status" }, "Loading a sound.");
    dasp.show("Set the volume", "Volume", 0.03, waiting);
    const { test, state } = dasp;
    const name = test.training.stimuli[0];
    let buffers;
    try {
      buffers = await dasp.load(test, { stimuli: [name], reference: null }, () => {});
    } catch (error) {
      waiting.replaceWith(element("p", { class: "complaint", role: "alert" }, `${error.message} Reload the page to try again.`));
      return;
    }
    const scale = { type: "range", min: QUIETEST, max: 0, step: 1, value: 0 };
    const slider = element("input", { ...scale, "aria-label": "Volume in decibels" });
    const shown = element("output", { class: "value", "aria-hidden": "true" });
    const engine = new dasp.Engine(dasp.audio(), buffers, 1, test.method);
    let played = false;
    const told = () => {
      engine.volume(dasp.gain(Number(slider.value)));
      shown.textContent = `${slider.value} dB`;
      slider.setAttribute("aria-valuetext", `${slider.value} decibels`);
    };
    slider.addEventListener("input", told);
    told();
    const button = element("button", { type: "button", class: "play" }, "Play");
    button.addEventListener("click", () => {
      dasp.audio();
      played = true;
      if (engine.playing) engine.pause();
      else engine.play(name);
      button.textContent = engine.playing ? "Pause" : "Play";
      button.classList.toggle("on", engine.playing);
    });
    const complaint = dasp.complaint();
    const lock = element("button", { type: "button", class: "primary" }, "Lock the volume and go on");
    lock.addEventListener("click", () => {
      if (!played) {
        complaint.textContent = "Please play the sound first.";
        return;
      }
      engine.close();
      state.volume_db = Number(slider.value);
      leave();
    });
    waiting.replaceWith(
      ...TEXT.map((text) => element("p", {}, text)),
      element(
        "section",
        { class: "card", "aria-label": "Volume" },
        element("div", { class: "transport" }, button, slider, shown),
      ),
      complaint,
      element("p", { class: "actions" }, lock),
    );
  };
})();
