// The first step: what the test is about, consent, and a name.
"use strict";

(() => {
  const { element } = dasp;
  // What a person agrees to, whatever the test's own text says.
  const SAVED = [
    "You can stop at any time. What you have rated is kept in this browser, and you can go on later where you left off.",
    "What is saved: your ratings and comments, how long you took, how often you played each sound, and your answers to some " +
      "questions at the end, under a name of your choice.",
  ];
  const HANDED_IN = "At the end you save it as a file and hand it in.";
  const NAME = /^[A-Za-z0-9_-]{1,32}$/;

  const drawn = () => {
    const letters = "abcdefghjkmnpqrstuvwxyz23456789";
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return Array.from(bytes, (b) => letters[b % letters.length]).join("");
  };

  const warning = () =>
    dasp.kept
      ? null
      : element(
          "p",
          { class: "complaint" },
          "This browser keeps nothing for this page: a reload would lose your ratings. " +
            "Leave private mode, or do the test in one go.",
        );

  dasp.welcome = (leave) => {
    const { test, state } = dasp;
    const plain = { type: "text", autocomplete: "off", spellcheck: "false", maxlength: 32 };
    const name = element("input", { ...plain, "aria-describedby": "about-name" });
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
      element(
        "p",
        { class: "muted small", id: "about-name" },
        "It was drawn at random. Keep it to stay anonymous, or type what you were given.",
      ),
      element("label", { class: "tick" }, consent, "I have read the above and agree to take part."),
      complaint,
      element("p", { class: "actions" }, element("button", { class: "primary" }, "Begin")),
    );
    const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
    const about = `${counted(test.pages.length, "page")}, about ${counted(test.minutes, "minute")}.`;
    const sent = `At the end it is sent to ${test.post_url}; you can save it, too.`;
    const said = [...test.welcome, SAVED[0], `${SAVED[1]} ${test.post_url ? sent : HANDED_IN}`];
    const texts = said.map((text) => element("p", {}, text));
    dasp.show(test.title, "Welcome", 0, ...texts, element("p", { class: "muted" }, about), warning() || "", form);
  };
})();
