// The way through the test; each step is kept, so that a reload comes back to it.
"use strict";

(() => {
  const go = (step) => {
    dasp.state.step = step;
    dasp.save();
    run();
  };

  // The page that is heard, while one is.
  dasp.currentPage = () => {
    const { test, state } = dasp;
    return state.step === "training" ? test.training : test.pages.find((p) => p.page === state.order[state.page]);
  };

  const run = () => {
    const { test, state } = dasp;
    const all = test.pages.length;
    const steps = {
      welcome: () => dasp.welcome(() => go("volume")),
      volume: () => dasp.volumePage(() => go("training")),
      training: () => dasp.ratingPage(dasp.currentPage(), "Training: get to know the page", "Training", 0.06, () => go("rating")),
      rating: () => {
        const title = `Page ${state.page + 1} of ${all}`;
        dasp.ratingPage(dasp.currentPage(), title, title, 0.1 + (0.85 * state.page) / all, () => {
          state.page += 1;
          go(state.page < all ? "rating" : test.questions.length ? "questions" : "finish");
        });
      },
      questions: () => dasp.questions(() => go("finish")),
      finish: () => dasp.finish(run),
    };
    steps[state.step]();
  };

  dasp.restore();
  run();
})();
