// MUSHRA (ITU-R BS.1534): a scale from 0 to 100 for each stimulus, with the five words of the continuous quality scale.
"use strict";

(() => {
  const { element } = dasp;

  // As dasp.ape; page.current() is the stimulus that was played last.
  dasp.mushra = (criterion, kept, page) => {
    const ratings = kept.ratings[criterion.name];
    const sliders = new Map();
    const rows = kept.order.map((name, i) => {
      const label = dasp.label(i);
      const shown = element("output", { class: "value", "aria-hidden": "true" }, "–");
      const slider = element("input", {
        type: "range",
        min: 0,
        max: 100,
        step: 1,
        value: ratings[name] ?? 0,
        "aria-label": `${label}, ${criterion.title}`,
      });
      const told = () => {
        const placed = name in ratings;
        const word = dasp.test.labels[Math.min(4, Math.floor(Number(slider.value) / 20))];
        shown.textContent = placed ? String(ratings[name]) : "–";
        slider.setAttribute("aria-valuetext", placed ? `${ratings[name]}, ${word}` : "not rated yet");
        slider.classList.toggle("placed", placed);
      };
      // BS.1534-3: only what is heard can be rated. So what is rated is heard.
      const rate = () => {
        if (page.current() !== name) page.play(name);
        page.rate(criterion.name, name, Number(slider.value));
        told();
      };
      slider.addEventListener("input", rate);
      // A click or a Home where the slider already stands is a rating of 0, too.
      slider.addEventListener("pointerup", rate);
      slider.addEventListener("keydown", (event) => {
        if (event.key === "Home") rate();
        if (event.key === "Enter") page.play(name);
      });
      told();
      sliders.set(name, slider);
      const about = { type: "button", class: "letter", "aria-label": `Play ${label}` };
      const button = element("button", { ...about, onclick: () => page.play(name) }, label);
      return element("div", { class: "rated", "data-stimulus": i }, button, slider, shown);
    });
    const spans = dasp.test.labels.map((word) => element("span", {}, word));
    const words = element("div", { class: "words muted small", "aria-hidden": "true" }, ...spans);
    const made = element(
      "section",
      { class: "card scale", "aria-label": criterion.title },
      element("h2", {}, criterion.title),
      element("p", { class: "muted" }, criterion.about),
      words,
      ...rows,
    );
    const heard = (name) => {
      rows.forEach((row, i) => {
        row.classList.toggle("heard", kept.order[i] === name);
      });
    };
    return { element: made, focus: (name) => sliders.get(name).focus(), heard, contains: (node) => made.contains(node) };
  };
})();
