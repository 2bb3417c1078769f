// Orders that are random, and the same whenever the same person comes back.
"use strict";

(() => {
  // sfc32 (Chris Doty-Humphrey, PractRand), seeded by a text: numbers in [0, 1).
  dasp.generator = (text) => {
    let [a, b, c, d] = dasp.sha256words(text);
    return () => {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (c << 21) | (c >>> 11);
      c = (c + t) | 0;
      return (t >>> 0) / 2 ** 32;
    };
  };

  // Fisher and Yates.
  dasp.shuffled = (list, random) => {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i -= 1) {
      const j = Math.floor(random() * (i + 1));
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  };

  // Names of the pages as this person gets them: two that are of one song do not follow each other where that can be.
  dasp.pageOrder = (test, participant) => {
    const random = dasp.generator(`pages ${test.test} ${participant}`);
    const touches = (order) =>
      test.apart.some(([one, other]) => Math.abs(order.indexOf(one) - order.indexOf(other)) === 1);
    let order = [];
    for (let tries = 0; tries < 200; tries += 1) {
      order = dasp.shuffled(test.pages.map((page) => page.page), random);
      if (!touches(order)) break;
    }
    return order;
  };

  // A page's stimuli in the order of their labels, and where the marks of an APE line begin.
  dasp.stimulusOrder = (test, page, participant) => {
    const random = dasp.generator(`stimuli ${test.test} ${page.page} ${participant}`);
    const order = dasp.shuffled(page.stimuli, random);
    const places = order.map((_, i) => (100 * (i + 0.5)) / order.length);
    const starts = {};
    for (const criterion of test.criteria) {
      const drawn = dasp.shuffled(places, random);
      starts[criterion.name] = Object.fromEntries(order.map((name, i) => [name, Math.round(drawn[i])]));
    }
    return { order, starts };
  };

  dasp.label = (index) => "ABCDEFGHIJK"[index];
})();
