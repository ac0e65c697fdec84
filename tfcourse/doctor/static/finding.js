// One finding: severity, place, message, confidence, evidence, remedy, and where to look.

import { addressOf, chooseGraph, dashboardName } from "./host.js";
import { chart, placeholder } from "./chart.js";
import { digits, h, icon, keepFocus } from "./dom.js";
import { explain } from "./explanation.js";
import { getJson } from "./server.js";

const MAX_TAGS = 24; // The server answers no more at once.
const SURE = [
  [0.95, "almost certain"],
  [0.8, "very likely"],
  [0.6, "likely"],
  [0.4, "possible"],
  [0, "a guess"],
];

/** Return a confidence in words, with the share that they stand for. */
export function confidenceInWords(confidence) {
  const words = SURE.find(([least]) => confidence >= least)?.[1] ?? "a guess";
  return `${words} (${Math.round(confidence * 100)} %)`;
}

/** Return the findings with a key each that stays the same while a run goes on. */
export function withKeys(findings) {
  const seen = new Map();
  return findings.map((finding) => {
    const { layer, variable } = finding.where;
    const place = [finding.fault, layer, variable].join("|");
    const number = (seen.get(place) ?? 0) + 1;
    seen.set(place, number);
    return { ...finding, key: `${place}|${number}` };
  });
}

function placeOf({ layer, variable, steps }) {
  const parts = [];
  if (variable) parts.push(h("span", {}, "variable ", h("code", {}, variable)));
  else if (layer) parts.push(h("span", {}, "layer ", h("code", {}, layer)));
  if (steps) {
    const [first, last] = steps;
    parts.push(first === last ? `step ${first}` : `steps ${first} to ${last}`);
  }
  return parts.flatMap((part, i) => (i ? [", ", part] : [part]));
}

/** Return the closed element of a finding; `onToggle` hears what the user opens. */
export function findingElement(finding, onToggle) {
  const summary = h("summary", { "data-key": `summary ${finding.key}` });
  const body = h("div", { class: "body" });
  const element = h(
    "details",
    { class: "finding", ontoggle: () => onToggle(element) },
    summary,
    body,
  );
  return element;
}

/** Bring an element made by `findingElement` up to date. */
export function updateFinding(element, finding, run, titles) {
  const [summary, body] = element.children;
  const text = JSON.stringify([finding, titles[finding.fault]]);
  if (element.shownText !== text) {
    element.shownText = text;
    element.className = `finding ${finding.severity}`;
    element.dataset.fault = finding.fault;
    summary.replaceChildren(...summaryParts(finding, titles));
    body.isFilled = false;
  }
  if (element.open) fillBody(body, finding, run, titles);
}

function summaryParts(finding, titles) {
  const place = placeOf(finding.where);
  return [
    h("span", { class: `severity ${finding.severity}` }, icon(finding.severity), finding.severity),
    h("span", { class: "title" }, titles[finding.fault] ?? finding.fault),
    h("span", { class: "confidence" }, confidenceInWords(finding.confidence)),
    h("span", { class: "message" }, finding.message),
    place.length ? h("span", { class: "place" }, "Where: ", place) : "",
  ];
}

function fillBody(body, finding, run, titles) {
  if (!body.isFilled) {
    body.isFilled = true;
    body.drawnMoment = null;
    keepFocus(() => {
      body.replaceChildren(
        evidencePart(finding),
        remedyPart(finding),
        seePart(finding, run),
        explainPart(finding, titles),
      );
    });
  }
  // Charts follow the run: drawn again once it has written more.
  const moment = `${run.name} ${run.written}`;
  if (body.drawnMoment !== moment) {
    body.drawnMoment = moment;
    drawCharts(body, finding, run);
  }
}

function heading(text) {
  return h("h4", {}, text);
}

function evidencePart({ evidence }) {
  const items = evidence.map(({ rule, numbers, series }) => {
    const rows = Object.entries(numbers).map(([name, value]) =>
      h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, digits(value))),
    );
    return h(
      "li",
      {},
      h("p", {}, rule),
      rows.length ? h("dl", { class: "numbers" }, rows) : "",
      series.length ? h("div", { class: "charts" }, series.map(placeholder)) : "",
    );
  });
  if (!items.length) items.push(h("li", { class: "muted" }, "None is given."));
  return h("section", {}, heading("Evidence"), h("ul", { class: "evidence" }, items));
}

async function drawCharts(body, finding, run) {
  const tags = [...new Set(finding.evidence.flatMap(({ series }) => series))];
  if (!tags.length) return;
  const sides = new Map(tags.map((tag) => [tag, []]));
  try {
    for (let i = 0; i < tags.length; i += MAX_TAGS) {
      const some = tags.slice(i, i + MAX_TAGS).map((tag) => ["tag", tag]);
      const answer = await getJson("series", [["run", run.name], ...some]);
      for (const one of answer.series) sides.get(one.tag).push(one);
    }
  } catch {
    body.drawnMoment = null; // The next refresh tries again.
    return;
  }
  const places = body.querySelectorAll(".charts");
  const lists = finding.evidence.map(({ series }) => series).filter((tags) => tags.length);
  places.forEach((place, i) => {
    const figures = lists[i].map((tag) => chart(tag, sides.get(tag), finding.where.steps));
    place.replaceChildren(...figures);
  });
}

function remedyPart({ remedy, key }) {
  const code = h("code", {}, remedy);
  const label = "Copy the remedy";
  const button = h(
    "button",
    { type: "button", "data-key": `copy ${key}`, "aria-label": label },
    "Copy",
  );
  button.addEventListener("click", async () => {
    const done = await copy(remedy, code);
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    button.setAttribute("aria-label", done ? "Copied" : "Selected: press Ctrl+C");
    setTimeout(() => {
      button.textContent = "Copy";
      button.setAttribute("aria-label", label);
    }, 2000);
  });
  const head = h("div", { class: "row" }, heading("Remedy"), button);
  const block = h("pre", { tabindex: 0, role: "region", "aria-label": "Remedy" }, code);
  return h("section", {}, head, block);
}

/** Copy a text, which `element` shows; if the browser refuses, it is selected at least. */
export async function copy(text, element) {
  getSelection().selectAllChildren(element);
  // Deprecated, but it works without HTTPS and asks for no permission.
  if (document.execCommand("copy")) return true;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function seePart({ see, key }, run) {
  if (!see.length) return "";
  const items = see.map(({ dashboard, tag }, i) => {
    const name = dashboardName(dashboard);
    const text = [h("b", {}, name ?? dashboard), tag ? ": " : "", tag ? h("code", {}, tag) : ""];
    if (!name) return h("li", {}, text);
    const href = addressOf(run, dashboard, tag);
    const onclick = dashboard === "graphs" ? () => chooseGraph(run, tag) : null;
    const link = { href, target: "_parent", "data-key": `see ${i} ${key}`, onclick };
    return h("li", {}, h("a", link, text));
  });
  return h("section", {}, heading("See it in TensorBoard"), h("ul", { class: "see" }, items));
}

function explainPart({ fault, key }, titles) {
  const title = titles[fault] ?? fault;
  return h(
    "section",
    {},
    h(
      "button",
      { type: "button", "data-key": `explain ${key}`, onclick: () => explain(fault, title) },
      `More about “${title}”`,
    ),
  );
}
