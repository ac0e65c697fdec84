// Several runs side by side: a table of runs and faults.

import { h, icon, keepFocus } from "./dom.js";
import { confidenceInWords } from "./finding.js";
import { explain } from "./explanation.js";
import { shownName, stateInWords } from "./runs.js";

const RANKS = { error: 0, warning: 1, note: 2 };

/** Return the faults that any of the runs has, the worst and most frequent first. */
function faultsOf(runs) {
  const faults = new Map();
  for (const { findings } of runs) {
    for (const { fault, severity } of findings) {
      const known = faults.get(fault) ?? { worst: 9, count: 0 };
      known.worst = Math.min(known.worst, RANKS[severity]);
      known.count += 1;
      faults.set(fault, known);
    }
  }
  const order = ([, a], [, b]) => a.worst - b.worst || b.count - a.count;
  return [...faults].sort(order).map(([fault]) => fault);
}

function cell(run, fault, titles) {
  const found = run.findings.filter((finding) => finding.fault === fault);
  const key = `cell ${run.name} ${fault}`;
  if (!found.length) {
    const nothing = h("span", { class: "visually-hidden" }, "no");
    return h("td", { role: "gridcell", tabindex: -1, "data-key": key }, nothing);
  }
  const [worst] = [...found].sort((a, b) => RANKS[a.severity] - RANKS[b.severity]);
  const confidence = confidenceInWords(worst.confidence);
  const td = h(
    "td",
    {
      role: "gridcell",
      tabindex: -1,
      "data-key": key,
      class: `found ${worst.severity}`,
      title: `${run.name}: ${titles[fault] ?? fault}. ${worst.message}`,
    },
    icon(worst.severity),
    h("span", { class: "percent" }, `${Math.round(worst.confidence * 100)} %`),
    h("span", { class: "visually-hidden" }, `${worst.severity}, ${confidence}`),
  );
  td.opens = { run: run.name, fault };
  return td;
}

function rowOf(run, faults, titles) {
  const name = h(
    "th",
    { scope: "row", role: "rowheader", tabindex: -1, "data-key": `row ${run.name}` },
    h("span", { class: "name" }, icon(run.state), h("span", {}, shownName(run.name))),
    h("span", { class: `words ${run.state}` }, stateInWords(run)),
  );
  name.opens = { run: run.name, fault: null };
  const cells = faults.map((fault) => cell(run, fault, titles));
  return h("tr", { role: "row" }, name, cells);
}

function columnOf(fault, titles) {
  const title = titles[fault] ?? fault;
  const th = h(
    "th",
    { scope: "col", role: "columnheader", tabindex: -1, "data-key": `column ${fault}` },
    h("span", { class: "turned" }, title),
  );
  th.explains = { fault, title };
  return th;
}

/** The table; arrow keys move through it, Enter opens the finding. */
export function compareView(onOpen) {
  const table = h("table", { role: "grid", "aria-label": "Runs and their faults" });
  const frame = h("div", { class: "frame" }, table);
  const hint = h(
    "p",
    { class: "muted" },
    "A cell opens the finding, a heading its explanation; arrow keys move. ",
    "Percentages say how sure the finding is.",
  );
  const none = h("p", {}, "No run matches.");
  const element = h("article", { "aria-label": "Compare runs" }, hint, none, frame);
  let shown = null;

  const activate = (target) => {
    if (target?.opens) onOpen(target.opens.run, target.opens.fault);
    if (target?.explains) explain(target.explains.fault, target.explains.title);
  };
  const focusCell = (target) => {
    for (const other of table.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  };
  table.addEventListener("click", (event) => activate(event.target.closest("td, th")));
  table.addEventListener("keydown", (event) => {
    const at = event.target.closest("td, th");
    if (!at) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      activate(at);
      return;
    }
    const rows = [...table.rows];
    const [row, column] = [rows.indexOf(at.parentNode), at.cellIndex];
    const places = {
      ArrowDown: [row + 1, column],
      ArrowUp: [row - 1, column],
      ArrowRight: [row, column + 1],
      ArrowLeft: [row, column - 1],
      Home: [row, 0],
      End: [row, at.parentNode.cells.length - 1],
    };
    const place = places[event.key];
    if (!place) return;
    event.preventDefault();
    const target = rows[place[0]]?.cells[place[1]];
    if (target) focusCell(target);
  });

  const update = (runs, titles) => {
    none.hidden = runs.length > 0;
    frame.hidden = hint.hidden = !runs.length;
    const faults = faultsOf(runs);
    const parts = runs.map(({ name, state, counts, findings }) => [name, state, counts, findings]);
    const text = JSON.stringify([parts, titles]);
    if (text === shown) return;
    shown = text;
    const corner = h("th", { scope: "col", role: "columnheader", tabindex: 0 }, "Run");
    const titlesRow = h("tr", { role: "row" }, corner, faults.map((f) => columnOf(f, titles)));
    const rows = runs.map((run) => rowOf(run, faults, titles));
    keepFocus(() => {
      table.replaceChildren(h("thead", {}, titlesRow), h("tbody", {}, rows));
    });
  };
  return { element, update };
}
