// A page on which stimuli are heard and rated.
"use strict";

(() => {
  const { element } = dasp;
  const TICK = 0.1; // s
  const SAVE = 2; // s between saves of what only counts time

  const help = {
    ape: [
      "Press a letter, or click a mark, to hear it; the music goes on where it is, so that you compare the same moment.",
      "Place every mark on the line: drag it, or move it by the arrow keys (Page Up and Page Down go further). " +
        "A dashed mark has not been placed by you yet.",
    ],
    mushra: [
      "Press a letter, or its button, to hear it; the music goes on where it is, so that you compare the same moment.",
      "Rate each one on its own scale, by dragging or by the arrow keys (Page Up and Page Down go further).",
    ],
  };

  const instructions = (page) =>
    element(
      "details",
      { class: "help", open: dasp.state.step === "training" },
      element("summary", {}, "How to rate"),
      element("ul", {}, ...help[dasp.test.method].map((line) => element("li", {}, line)), element("li", {}, keys(page))),
      letters(),
    );

  // Letters can be turned off, for those whose voice control or screen reader types them.
  const letters = () => {
    const box = element("input", { type: "checkbox", checked: dasp.state.letters });
    box.addEventListener("change", () => {
      dasp.state.letters = box.checked;
      dasp.save();
    });
    return element("label", { class: "tick small" }, box, "Use the letter keys and space");
  };

  const keys = (page) => {
    const last = dasp.label(page.stimuli.length - 1);
    return (
      `Keys: A to ${last} play and choose${page.reference ? ", R plays the reference" : ""}, space pauses and goes on, ` +
      "Tab goes from one control to the next."
    );
  };

  // What stands between a person and the next page, in words; "" where nothing does.
  const missing = (page, kept) => {
    const enough = (name) => kept.plays[name] > 0 && kept.heard_s[name] >= Math.min(dasp.test.min_heard_s, page.seconds);
    const labels = (names) => names.map((n) => dasp.label(kept.order.indexOf(n))).join(", ");
    const unheard = kept.order.filter((n) => !enough(n));
    if (unheard.length) return `Please listen to ${labels(unheard)} as well.`;
    if (page.reference && !enough(page.reference)) return "Please listen to the reference as well.";
    for (const criterion of dasp.test.criteria) {
      const unrated = kept.order.filter((n) => !(n in kept.ratings[criterion.name]));
      if (unrated.length) return `Please place ${labels(unrated)} under ${criterion.title} as well.`;
    }
    return "";
  };

  // page: of the test. title, where, share: for the head. leave: called when all is rated.
  dasp.ratingPage = async (page, title, where, share, leave) => {
    const waiting = element("p", { class: "muted", role: "status" }, "Loading the sounds.");
    dasp.show(title, where, share, waiting);
    const kept = dasp.pageState(page);
    let buffers;
    try {
      buffers = await dasp.load(dasp.test, page, (have, all) => {
        waiting.textContent = `Loading sound ${have + 1} of ${all}.`;
      });
    } catch (error) {
      waiting.replaceWith(element("p", { class: "complaint", role: "alert" }, `${error.message} Reload the page to try again.`));
      return;
    }

    const engine = new dasp.Engine(dasp.audio(), buffers, dasp.gain(dasp.state.volume_db), dasp.test.method);
    const complaint = dasp.complaint();
    let current = null;

    const heard = () => {
      scales.forEach((scale) => scale.heard(engine.playing ? current : null));
      if (reference) reference.setAttribute("aria-pressed", engine.playing && current === page.reference);
      player.update();
    };
    const spoken = (name) => (name === page.reference ? "the reference" : dasp.label(kept.order.indexOf(name)));
    const play = (name) => {
      tick(); // what was heard up to now
      dasp.audio();
      if (!engine.playing || current !== name) kept.plays[name] += 1;
      current = name;
      engine.play(name);
      dasp.say(`Playing ${spoken(name)}`);
      dasp.save();
      heard();
    };
    const toggle = () => {
      if (engine.playing) {
        engine.pause();
        dasp.say("Paused");
        heard();
      } else play(current ?? page.reference ?? kept.order[0]);
    };
    const rate = (criterion, name, value) => {
      kept.ratings[criterion][name] = value;
      complaint.textContent = "";
      dasp.save();
    };

    const player = dasp.player(engine, toggle);
    const controls = { play, rate, current: () => current };
    const scales = dasp.test.criteria.map((criterion) => dasp[dasp.test.method](criterion, kept, controls));
    const reference = page.reference
      ? element(
          "button",
          { type: "button", class: "reference", "aria-pressed": "false", onclick: () => play(page.reference) },
          "Reference",
        )
      : null;
    const comment = element("textarea", { rows: 2, maxlength: 2000 });
    comment.value = kept.comment;
    comment.addEventListener("input", () => {
      kept.comment = dasp.text(comment.value);
      dasp.save();
    });

    // Keys work wherever the focus is, except where one types.
    const key = (event) => {
      const { target } = event;
      if (!dasp.state.letters || event.ctrlKey || event.altKey || event.metaKey) return;
      if (target.matches("textarea, input[type=checkbox]")) return;
      const pressed = event.key.toUpperCase();
      const index = kept.order.findIndex((_, i) => dasp.label(i) === pressed);
      if (index >= 0) {
        play(kept.order[index]);
        const scale = scales.find((s) => s.contains(document.activeElement)) || scales[0];
        scale.focus(kept.order[index]);
      } else if (pressed === "R" && page.reference) play(page.reference);
      else if (event.key === " " && !target.matches("button, summary")) toggle();
      else return;
      event.preventDefault();
    };

    let last = performance.now();
    let unsaved = 0;
    const tick = () => {
      const now = performance.now();
      const passed = Math.min(1, (now - last) / 1000); // a computer that slept has heard nothing
      last = now;
      kept.seconds += passed;
      if (engine.playing && current) kept.heard_s[current] += passed;
      unsaved += passed;
      if (unsaved > SAVE) {
        unsaved = 0;
        dasp.save();
      }
      player.update();
    };
    const timer = setInterval(tick, 1000 * TICK);
    document.addEventListener("keydown", key);
    window.addEventListener("pagehide", dasp.save);

    const next = element("button", { type: "button", class: "primary" }, "Next");
    next.addEventListener("click", () => {
      tick();
      complaint.textContent = missing(page, kept);
      if (complaint.textContent) return;
      clearInterval(timer);
      document.removeEventListener("keydown", key);
      window.removeEventListener("pagehide", dasp.save);
      engine.close();
      dasp.save();
      leave();
    });

    waiting.remove();
    document.getElementById("main").append(
      instructions(page),
      player.element,
      ...(reference ? [element("p", { class: "openly" }, reference)] : []),
      ...scales.map((scale) => scale.element),
      element("label", { class: "field" }, "Comments on this page (optional)", comment),
      complaint,
      element("p", { class: "actions" }, next),
    );
    dasp.say("The sounds are ready.");
  };
})();
