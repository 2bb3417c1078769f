// Elements made of plain values: whatever a test's text holds is text.
"use strict";

globalThis.dasp = {};

// dasp.element("button", {class: "big", onclick: f}, "Go on"): children are elements, strings, lists of them, or null.
dasp.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
};

// What a screen reader says, wherever the focus is.
dasp.say = (text) => {
  document.getElementById("said").textContent = text;
};

// A step of the test takes the place of the one before, and the focus with it.
dasp.show = (title, where, share, ...children) => {
  const heading = dasp.element("h1", { tabindex: -1 }, title);
  document.getElementById("main").replaceChildren(heading, ...children.flat());
  document.getElementById("where").textContent = where;
  document.getElementById("progress").value = share;
  window.scrollTo(0, 0);
  heading.focus();
};

// A line that says what is missing; it speaks when it changes.
dasp.complaint = () => dasp.element("p", { class: "complaint", role: "alert" });

dasp.rounded = (value, digits = 0) => Number(value.toFixed(digits));
