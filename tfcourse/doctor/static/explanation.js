// The text about a fault, in a dialog.

import { h } from "./dom.js";
import { getJson } from "./server.js";

const PARTS = [
  ["what", "What it is"],
  ["looks_like", "How it looks in TensorBoard"],
  ["causes", "Causes"],
  ["helps", "What helps"],
  ["example", "Example"],
  ["sources", "Sources"],
];

function partOf(name, value) {
  if (name === "example") {
    return h("pre", { tabindex: 0, role: "region", "aria-label": "Example" }, h("code", {}, value));
  }
  if (Array.isArray(value)) {
    const lines = value.map((item) => (Array.isArray(item) ? item.join(": ") : String(item)));
    return h("ul", {}, lines.map((line) => h("li", {}, line)));
  }
  return h("p", {}, String(value));
}

/** Open the dialog about a fault; closing it gives the focus back. */
export async function explain(fault, title) {
  const content = h("div", {}, h("p", { class: "muted" }, "Loading ..."));
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const head = h("div", { class: "row" }, h("h2", { id: "explanation-title" }, title), close);
  const code = h("p", { class: "muted" }, "Fault code: ", h("code", {}, fault));
  const dialog = h("dialog", { "aria-labelledby": "explanation-title" }, head, code, content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // On the backdrop.
  });
  document.body.append(dialog);
  dialog.showModal();
  try {
    const answer = await getJson("explanation", [["fault", fault]]);
    const parts = PARTS.filter(([name]) => answer[name]?.length);
    const sections = parts.flatMap(([name, text]) => [h("h3", {}, text), partOf(name, answer[name])]);
    content.replaceChildren(...sections);
  } catch {
    const text = "There is no text about it here. Try: tfcourse doctor --explain ";
    content.replaceChildren(h("p", {}, text, h("code", {}, fault)));
  }
}
