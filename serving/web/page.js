// Small helpers for the document.

export const find = (id) => document.getElementById(id);

/** An element: `make("li", {class: "note"}, "text", child)`. Text is never read as HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Tell a screen reader, politely. */
export function announce(text) {
  find("live").textContent = text;
}

/** Show one view, hide the others, and put the focus on its heading. */
export function show(id, { focus = true } = {}) {
  for (const view of document.querySelectorAll(".view")) {
    view.hidden = view.id !== id;
  }
  document.body.dataset.view = id;
  find("symptoms").hidden = id !== "start" && id !== "result";
  if (focus) {
    window.scrollTo(0, 0);
    find(id).querySelector("h1").focus({ preventScroll: true });
  }
}
