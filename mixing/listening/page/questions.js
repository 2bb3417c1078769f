// Questions about the listener, at the end so that they colour no rating.
"use strict";

(() => {
  const { element } = dasp;

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
        const options = ["", ...q.options].map((text) =>
          element("option", { value: text, selected: state.answers[q.name] === text }, text || "Choose"),
        );
        return element("select", { onchange: (event) => answer(q, event.target.value) }, ...options);
      },
      number: (q) => {
        const keep = ({ target }) => answer(q, Number.isFinite(target.valueAsNumber) ? target.valueAsNumber : null);
        const range = { min: q.low, max: q.high, step: "any", value: state.answers[q.name] };
        return element("input", { type: "number", ...range, oninput: keep });
      },
      text: (q) => {
        const keep = (event) => answer(q, dasp.text(event.target.value));
        const field = element("textarea", { rows: 2, maxlength: 2000, oninput: keep });
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
    const fields = test.questions.map((q) =>
      element("label", { class: "field" }, `${q.text}${q.required ? "" : " (optional)"}`, controls[q.type](q)),
    );
    const actions = element("p", { class: "actions" }, element("button", { class: "primary" }, "Finish"));
    const form = { class: "card", novalidate: true, onsubmit: send };
    dasp.show("Some questions", "Questions", 0.97, element("form", form, ...fields, complaint, actions));
  };
})();
