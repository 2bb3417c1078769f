// What a person has done so far, kept in this browser as it is done: a reload goes on where it was.
"use strict";

(() => {
  const name = () => `dasp-listening:${dasp.test.test}`;
  const archived = (participant) => `${name()}:${participant}`;

  const empty = () => ({
    digest: dasp.test.digest,
    participant: null,
    step: "welcome",
    started_at: null,
    volume_db: null,
    order: [],
    page: 0,
    pages: {},
    answers: {},
    letters: true,
    result: null,
    downloaded: false,
  });

  dasp.kept = true;

  const read = () => {
    try {
      const found = JSON.parse(localStorage.getItem(name()));
      // Another version of the test has other questions: its answers are no use here.
      return found && found.digest === dasp.test.digest ? found : null;
    } catch {
      return null;
    }
  };

  dasp.restore = () => {
    dasp.state = read() || empty();
    dasp.save();
  };

  dasp.save = () => {
    try {
      localStorage.setItem(name(), JSON.stringify(dasp.state));
    } catch {
      dasp.kept = false;
    }
  };

  dasp.taken = (participant) => {
    try {
      return localStorage.getItem(archived(participant)) !== null;
    } catch {
      return false;
    }
  };

  // Put a finished session aside, so that another person can take the test on this computer.
  dasp.nextParticipant = () => {
    try {
      localStorage.setItem(archived(dasp.state.participant), JSON.stringify(dasp.state));
      localStorage.removeItem(name());
    } catch {
      dasp.kept = false;
    }
    dasp.state = empty();
    dasp.save();
  };

  // What is known of a page, made when it is first seen.
  dasp.pageState = (page) => {
    const { pages, participant } = dasp.state;
    if (!pages[page.page]) {
      const { order, starts } = dasp.stimulusOrder(dasp.test, page, participant);
      const names = page.reference ? [...order, page.reference] : order;
      pages[page.page] = {
        order,
        starts,
        ratings: Object.fromEntries(dasp.test.criteria.map((c) => [c.name, {}])),
        plays: Object.fromEntries(names.map((n) => [n, 0])),
        heard_s: Object.fromEntries(names.map((n) => [n, 0])),
        seconds: 0,
        comment: "",
      };
      dasp.save();
    }
    return pages[page.page];
  };
})();
