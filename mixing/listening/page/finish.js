// The end: ratings are saved as files, and sent where the test asks for it.
"use strict";

(() => {
  const { element } = dasp;
  const HAND_IN = "That was all. Save your ratings as a file, and hand in the JSON file to whoever asked you.";

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
      element("p", {}, test.post_url ? "That was all." : HAND_IN),
      ...(test.post_url ? [sent, retry] : []),
      element("p", { class: "actions" }, json, csv),
      element("p", { class: "muted small" }, "Someone else is to take the test on this computer?"),
      complaint,
      element("p", { class: "actions" }, next),
    );
    if (test.post_url && !state.downloaded) send();
  };
})();
