// Small helpers that make elements out of data. Text is always text: nothing here parses HTML.

export const byId = (id) => document.getElementById(id);

/** An element with properties (class, text, data-*, aria-*, hidden, href, …) and children. */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") made.textContent = value;
    else if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** A box with a sentence, and the next step below it; words between backticks are code. */
export function say(box, tone, sentence, next = "") {
  box.hidden = false;
  box.dataset.tone = tone;
  box.replaceChildren(el("p", {}, ...withCode(sentence)), ...(next ? [el("p", { class: "quiet" }, ...withCode(next))] : []));
}

/** Text with `code` in backticks as nodes. */
export function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", { text: part }) : document.createTextNode(part)));
}
