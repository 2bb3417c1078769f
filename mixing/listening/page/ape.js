// APE (De Man and Reiss 2014): all stimuli as marks on one line for each criterion.
"use strict";

(() => {
  const { element } = dasp;
  const SIZE = 44; // px, of a mark: what a finger needs
  const KEYS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -100, End: 100 };

  // kept: what is known of the page. page: {play(name), rate(criterion, name, value)}. What the page works with comes back.
  dasp.ape = (criterion, kept, page) => {
    const ratings = kept.ratings[criterion.name];
    const marks = new Map();
    const line = element("div", { class: "line", "aria-hidden": "true" });
    const axis = element("div", { class: "axis" }, line);
    const value = (name) => ratings[name] ?? kept.starts[criterion.name][name];

    const draw = () => {
      const width = axis.clientWidth - SIZE;
      const lanes = []; // the right-most mark of each, so that none hides another
      const sorted = [...marks.keys()].sort((a, b) => value(a) - value(b));
      for (const name of sorted) {
        const x = (value(name) / 100) * width;
        let lane = lanes.findIndex((right) => right + SIZE + 4 <= x);
        if (lane < 0) lane = lanes.push(0) - 1;
        lanes[lane] = x;
        const { style } = marks.get(name);
        style.left = `calc(${value(name) / 100} * (100% - ${SIZE}px))`;
        style.bottom = `${14 + lane * (SIZE + 4)}px`;
        style.setProperty("--stem", `${lane * (SIZE + 4) + 14}px`);
      }
      axis.style.height = `${Math.max(1, lanes.length) * (SIZE + 4) + 18}px`;
    };

    const told = (name) => {
      const mark = marks.get(name);
      const placed = name in ratings;
      mark.setAttribute("aria-valuenow", value(name));
      mark.setAttribute("aria-valuetext", placed ? `${value(name)} of 100` : `${value(name)} of 100, not placed yet`);
      mark.classList.toggle("placed", placed);
    };

    const move = (name, wanted) => {
      page.rate(criterion.name, name, Math.min(100, Math.max(0, Math.round(wanted))));
      told(name);
      draw();
    };

    kept.order.forEach((name, i) => {
      const label = dasp.label(i);
      const mark = element(
        "div",
        {
          class: "mark",
          role: "slider",
          tabindex: 0,
          "aria-label": `${label}, ${criterion.title}`,
          "aria-valuemin": 0,
          "aria-valuemax": 100,
          "aria-orientation": "horizontal",
        },
        label,
      );
      mark.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        if (event.key === "Enter") page.play(name);
        else if (event.key in KEYS) move(name, value(name) + KEYS[event.key]);
        else return;
        event.preventDefault();
        event.stopPropagation();
      });
      mark.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        event.preventDefault();
        mark.focus();
        mark.setPointerCapture(event.pointerId);
        page.play(name);
        const from = { x: event.clientX, value: value(name) };
        const drag = (e) => {
          const by = (100 * (e.clientX - from.x)) / Math.max(1, axis.clientWidth - SIZE);
          if (Math.abs(e.clientX - from.x) > 3 || name in ratings) move(name, from.value + by);
        };
        const end = () => {
          mark.removeEventListener("pointermove", drag);
          mark.removeEventListener("pointerup", end);
          mark.removeEventListener("pointercancel", end);
        };
        mark.addEventListener("pointermove", drag);
        mark.addEventListener("pointerup", end);
        mark.addEventListener("pointercancel", end);
      });
      marks.set(name, mark);
      axis.append(mark);
      told(name);
    });

    new ResizeObserver(draw).observe(axis);
    const made = element(
      "section",
      { class: "card scale", "aria-label": criterion.title },
      element("h2", {}, criterion.title),
      element("p", { class: "muted" }, criterion.about),
      axis,
      element(
        "p",
        { class: "ends muted small", "aria-hidden": "true" },
        element("span", {}, criterion.low),
        element("span", {}, criterion.high),
      ),
    );
    const heard = (name) => {
      for (const [other, mark] of marks) mark.classList.toggle("heard", other === name);
    };
    return { element: made, focus: (name) => marks.get(name).focus(), heard, contains: (node) => axis.contains(node) };
  };
})();
