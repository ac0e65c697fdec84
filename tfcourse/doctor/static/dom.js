// Builds elements. Text from logs gets into the page here alone, always as text nodes.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== ""));
  return element;
}

/** Return an HTML element; strings among the children become text. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Make `parent` hold one child per item, in order, keeping the elements of known keys:
 * so focus, scroll and what is open survive a refresh.
 */
export function reconcile(parent, items, keyOf, make, update) {
  const known = parent.knownChildren ?? new Map();
  const next = new Map();
  for (const item of items) {
    const key = keyOf(item);
    next.set(key, known.get(key) ?? make(item));
  }
  for (const [key, element] of known) if (!next.has(key)) element.remove();
  keepFocus(() => {
    let cursor = parent.firstChild;
    for (const element of next.values()) {
      if (element === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(element, cursor);
    }
  });
  parent.knownChildren = next;
  for (const item of items) update?.(next.get(keyOf(item)), item);
}

/** Run `change` and give the focus back to the element, or its successor, that had it. */
export function keepFocus(change) {
  const before = document.activeElement;
  const key = before?.dataset?.key;
  change();
  if (before === document.activeElement) return;
  if (before?.isConnected) before.focus({ preventScroll: true });
  else if (key) {
    const same = [...document.querySelectorAll("[data-key]")];
    same.find((element) => element.dataset.key === key)?.focus({ preventScroll: true });
  }
}

const SHAPES = {
  error: "M5 1h6l4 4v6l-4 4H5l-4-4V5z M5 5l6 6 M11 5l-6 6",
  warning: "M8 1.5L15.2 14.5H.8z M8 6v4 M8 11.7v1.2",
  note: "M1 8a7 7 0 1 0 14 0a7 7 0 1 0-14 0 M8 7v5 M8 3.8v1.4",
  healthy: "M1 8a7 7 0 1 0 14 0a7 7 0 1 0-14 0 M4.5 8.2l2.5 2.6l4.6-5.2",
  waiting: "M3 1h10 M3 15h10 M4 1c0 5 8 9 8 14 M12 1c0 5-8 9-8 14",
  unreadable: "M1 8a7 7 0 1 0 14 0a7 7 0 1 0-14 0 M3.2 12.8L12.8 3.2",
};

/** Return the sign of a state; each has a shape of its own besides its colour. */
export function icon(state) {
  const shape = svg("path", { d: SHAPES[state] ?? SHAPES.note });
  return svg(
    "svg",
    { class: `icon ${state}`, viewBox: "0 0 16 16", "aria-hidden": "true" },
    shape,
  );
}

/** Return "1 error" or "2 errors". */
export function counted(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Return a number as text, with about three digits. */
export function digits(value) {
  if (typeof value !== "number") return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    return value.toExponential(2).replace(/\.?0*e/, "e").replace("e+", "e");
  }
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(size >= 1000 ? 5 : 3)));
}
