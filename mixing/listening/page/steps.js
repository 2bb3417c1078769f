// The steps around the rating pages: welcome, volume, questions, the end.
"use strict";

(() => {
  const { element } = dasp;
  const NAME = /^[A-Za-z0-9_-]{1,32}$/;
  const QUIETEST = -40; // dB

  const drawn = () => {
    const letters = "abcdefghjkmnpqrstuvwxyz23456789";
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return Array.from(bytes, (b) => letters[b % letters.length]).join("");
  };

  const warning = () =>
    dasp.kept
      ? null
      : element("p", { class: "complaint" }, "This browser keeps nothing for this page: a reload would lose your ratings. Leave private mode, or do the test in one go.");

  dasp.welcome = (leave) => {
    const { test, state } = dasp;
    const name = element("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: 32, "aria-describedby": "about-name" });
    name.value = state.participant || drawn();
    const consent = element("input", { type: "checkbox" });
    const complaint = dasp.complaint();
    const start = (event) => {
      event.preventDefault();
      const wanted = name.value.trim();
      if (!NAME.test(wanted)) complaint.textContent = "The name is 1 to 32 letters, digits, - or _.";
      else if (dasp.taken(wanted)) complaint.textContent = "Someone of that name has taken this test here; choose another.";
      else if (!consent.checked) complaint.textContent = "Please tick the box if you agree to take part.";
      else {
        state.participant = wanted;
        state.started_at = new Date().toISOString();
        state.order = dasp.pageOrder(test, wanted);
        leave();
      }
    };
    const form = element(
      "form",
      { class: "card", novalidate: true, onsubmit: start },
      element("label", { class: "field" }, "Your name in the results", name),
      element("p", { class: "muted small", id: "about-name" }, "It was drawn at random. Keep it to stay anonymous, or type what you were given."),
      element("label", { class: "tick" }, consent, "I have read the above and agree to take part."),
      complaint,
      element("p", { class: "actions" }, element("button", { class: "primary" }, "Begin")),
    );
    const minutes = Math.max(1, Math.round((1.5 * test.criteria.length * test.pages.reduce((sum, p) => sum + p.seconds * p.stimuli.length, 0)) / 60));
    const about = `${test.pages.length} page${test.pages.length === 1 ? "" : "s"}, about ${minutes} minute${minutes === 1 ? "" : "s"}.`;
    dasp.show(test.title, "Welcome", 0, ...test.welcome.map((text) => element("p", {}, text)), element("p", { class: "muted" }, about), warning() || "", form);
  };

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
    const slider = element("input", { type: "range", min: QUIETEST, max: 0, step: 1, value: 0, "aria-label": "Volume in decibels" });
    const shown = element("output", { class: "value", "aria-hidden": "true" });
    const engine = new dasp.Engine(dasp.audio(), buffers, 1);
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
      element("p", {}, "Play the sound, and set your computer and this slider to a comfortable level, as you like to listen to music. All sounds of the test are equally loud."),
      element("p", {}, "From then on the volume is locked. Please leave your computer's alone as well, since people like better what is louder."),
      element("section", { class: "card", "aria-label": "Volume" }, element("div", { class: "transport" }, button, slider, shown)),
      complaint,
      element("p", { class: "actions" }, lock),
    );
  };

  dasp.questions = (leave) => {
    const { test, state } = dasp;
    const complaint = dasp.complaint();
    const answer = (question, value) => {
      if (value === "" || value === null) delete state.answers[question.name];
      else state.answers[question.name] = value;
      dasp.save();
    };
    const controls = {
      choice: (q) => {
        const options = ["", ...q.options].map((text) => element("option", { value: text, selected: state.answers[q.name] === text }, text || "Choose"));
        return element("select", { onchange: (event) => answer(q, event.target.value) }, ...options);
      },
      number: (q) => {
        const keep = (event) => answer(q, Number.isFinite(event.target.valueAsNumber) ? event.target.valueAsNumber : null);
        return element("input", { type: "number", min: q.low, max: q.high, step: "any", value: state.answers[q.name], oninput: keep });
      },
      text: (q) => {
        const field = element("textarea", { rows: 2, maxlength: 2000, oninput: (event) => answer(q, dasp.text(event.target.value)) });
        field.value = state.answers[q.name] || "";
        return field;
      },
    };
    const wrong = (q) => {
      const value = state.answers[q.name];
      if (value === undefined) return q.required ? `Please answer: ${q.text}` : "";
      const outside = q.type === "number" && !(value >= q.low && value <= q.high);
      return outside ? `Please give a number from ${q.low} to ${q.high}: ${q.text}` : "";
    };
    const send = (event) => {
      event.preventDefault();
      complaint.textContent = test.questions.map(wrong).find((text) => text) || "";
      if (!complaint.textContent) leave();
    };
    const fields = test.questions.map((q) => element("label", { class: "field" }, `${q.text}${q.required ? "" : " (optional)"}`, controls[q.type](q)));
    dasp.show(
      "Some questions",
      "Questions",
      0.97,
      element("form", { class: "card", novalidate: true, onsubmit: send }, ...fields, complaint, element("p", { class: "actions" }, element("button", { class: "primary" }, "Finish"))),
    );
  };

  dasp.finish = (again) => {
    const { test, state } = dasp;
    state.result ||= dasp.result();
    dasp.save();
    const file = `ratings_${state.participant}`;
    const done = () => {
      state.downloaded = true;
      dasp.save();
    };
    const json = element("button", { type: "button", class: "primary" }, "Save the ratings (JSON)");
    json.addEventListener("click", () => {
      dasp.download(`${file}.json`, "application/json", `${JSON.stringify(state.result, null, 1)}\n`);
      done();
    });
    const csv = element("button", { type: "button" }, "Save as a table (CSV)");
    csv.addEventListener("click", () => dasp.download(`${file}.csv`, "text/csv", dasp.csv(state.result)));
    const sent = element("p", { role: "status" });
    const retry = element("button", { type: "button" }, "Send again");
    const send = async () => {
      retry.hidden = true;
      sent.textContent = "Sending the ratings.";
      try {
        await dasp.post(state.result);
        sent.textContent = "The ratings were sent. You can save a copy, too.";
        done();
      } catch {
        sent.textContent = "It is not certain that the ratings arrived. Please save the file and hand it in.";
        retry.hidden = false;
      }
    };
    retry.hidden = true;
    retry.addEventListener("click", send);
    const complaint = dasp.complaint();
    let asked = false;
    const next = element("button", { type: "button" }, "Next participant");
    next.addEventListener("click", () => {
      if (!state.downloaded && !asked) {
        asked = true;
        complaint.textContent = "These ratings have not been saved to a file yet. Press once more to go on all the same.";
        return;
      }
      dasp.nextParticipant();
      again();
    });
    dasp.show(
      "Thank you",
      "Done",
      1,
      element("p", {}, test.post_url ? "That was all." : "That was all. Save your ratings as a file, and hand in the JSON file to whoever asked you."),
      ...(test.post_url ? [sent, retry] : []),
      element("p", { class: "actions" }, json, csv),
      element("p", { class: "muted small" }, "Someone else is to take the test on this computer?"),
      complaint,
      element("p", { class: "actions" }, next),
    );
    if (test.post_url && !state.downloaded) send();
  };
})();
