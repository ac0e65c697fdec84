// The list of runs, the run that is looked at, and what to do where there is none.

import { chart } from "./chart.js";
import { counted, h, icon, reconcile } from "./dom.js";
import { copy, findingElement, updateFinding, withKeys } from "./finding.js";
import { getJson } from "./server.js";

const SEVERITIES = ["error", "warning", "note"];
const LOSSES = ["epoch_loss", "step/loss", "loss", "batch_loss"];
const WORDS = {
  healthy: "healthy",
  waiting: "not diagnosed yet",
  unreadable: "not diagnosed",
};

/** Return a run's name as it is shown: "." is the logdir itself. */
export function shownName(name) {
  return name === "." ? "(the logdir itself)" : name;
}

/** Return a run's state in words, as "2 errors, 1 note" or "healthy". */
export function stateInWords({ state, counts }) {
  const parts = SEVERITIES.filter((name) => counts[name]).map((name) =>
    counted(counts[name], name),
  );
  if (state === "healthy") parts.unshift("healthy");
  return parts.join(", ") || WORDS[state] || state;
}

/** The list; arrow keys move through it and select. */
export function listView(onSelect) {
  const list = h("ul", { role: "listbox", "aria-label": "Runs" });
  const none = h("p", { class: "muted", hidden: true }, "No run matches.");
  const element = h("nav", { "aria-label": "Runs" }, list, none);
  const options = () => [...list.children];
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) onSelect(option.runName, true);
  });
  list.addEventListener("keydown", (event) => {
    const all = options();
    const at = all.indexOf(document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (at >= 0) onSelect(all[at].runName, true);
    } else if (event.key in moves) {
      event.preventDefault();
      const option = all[Math.min(Math.max(moves[event.key], 0), all.length - 1)];
      option.focus();
      onSelect(option.runName, false);
    }
  });
  const update = (runs, selected, total) => {
    reconcile(list, runs, ({ name }) => name, newOption, updateOption);
    for (const option of options()) {
      const isSelected = option.runName === selected;
      option.setAttribute("aria-selected", String(isSelected));
      option.tabIndex = isSelected ? 0 : -1;
    }
    if (runs.length && !options().some((option) => option.tabIndex === 0)) {
      options()[0].tabIndex = 0;
    }
    none.hidden = runs.length > 0 || total === 0;
  };
  const focus = () => options().find((option) => option.tabIndex === 0)?.focus();
  return { element, update, focus };
}

function newOption(run) {
  const option = h("li", { role: "option", "data-key": `run ${run.name}` });
  option.runName = run.name;
  return option;
}

function updateOption(option, run) {
  const text = JSON.stringify([run.state, run.counts, run.running]);
  if (option.shownText === text) return;
  option.shownText = text;
  const words = [stateInWords(run)];
  if (run.running) words.push("going on");
  option.replaceChildren(
    icon(run.state),
    h("span", { class: "name" }, shownName(run.name)),
    h("span", { class: `words ${run.state}` }, words.join(" · ")),
  );
}

function aboutRun(run) {
  const parts = [stateInWords(run)];
  if (run.running) parts.push("going on");
  else if (run.finished) parts.push("finished");
  if (run.step !== null) parts.push(`step ${run.step}`);
  return parts.join(" · ");
}

function verdict(run) {
  if (run.state === "healthy") {
    const extent = run.recorded ? "" : ", as far as its scalars show";
    const text = `No fault found${run.running ? " so far" : ""}${extent}.`;
    return h("p", { class: "verdict healthy" }, icon("healthy"), text);
  }
  if (run.state === "waiting") {
    const text = run.recorded
      ? "No findings yet: they come with an epoch that ends, every 20 seconds at most."
      : "Being diagnosed from its scalars ...";
    return h("p", { class: "verdict" }, icon("waiting"), text);
  }
  return "";
}

function notice(text) {
  return h("p", { class: "notice" }, text);
}

/** Charts of the loss, which every run has. */
function lossView() {
  const charts = h("div", { class: "charts" });
  const element = h("section", { class: "losses" }, h("h3", {}, "Loss"), charts);
  let shown = null;
  const update = async (run) => {
    const moment = `${run.name} ${run.written}`;
    if (shown === moment) return;
    shown = moment;
    const tags = LOSSES.map((tag) => ["tag", tag]);
    const { series } = await getJson("series", [["run", run.name], ...tags]).catch(() => {
      shown = null; // The next refresh tries again.
      return { series: null };
    });
    if (!series || shown !== moment) return;
    const sidesOf = (tag) => series.filter((one) => one.tag === tag);
    const there = LOSSES.filter((tag) => sidesOf(tag).length);
    const figures = there.map((tag) => chart(tag, sidesOf(tag), null));
    charts.replaceChildren(...figures);
    element.classList.toggle("is-empty", !figures.length);
  };
  return { element, update };
}

/** The run that is looked at, with its findings. */
export function runView({ onBack, isOpen, onToggle }) {
  const back = h("button", { type: "button", class: "back", onclick: onBack }, "← All runs");
  const name = h("h2", { tabindex: -1, id: "run-name" });
  const about = h("p", { class: "about" });
  const notices = h("div", { class: "notices" });
  const list = h("ol", { class: "findings", "aria-label": "Findings, the likeliest cause first" });
  const losses = lossView();
  const element = h(
    "article",
    { "aria-labelledby": "run-name" },
    [back, name, about, notices, list, losses.element],
  );
  let shown = null;

  const update = (run, details, titles) => {
    for (const part of [about, notices, list, losses.element]) part.hidden = !run;
    if (!run) {
      name.textContent = "Choose a run";
      shown = null;
      return;
    }
    if (name.textContent !== shownName(run.name)) name.textContent = shownName(run.name);
    const head = JSON.stringify([run, details?.problems, details?.missing]);
    if (shown !== head) {
      shown = head;
      about.replaceChildren(icon(run.state), aboutRun(run));
      const texts = [...(details?.problems ?? []), ...(details?.missing ?? [])];
      notices.replaceChildren(...[verdict(run), ...texts.map(notice)].filter(Boolean));
    }
    drawFindings(list, run, details, titles);
    losses.update(run);
  };

  const drawFindings = (place, run, details, titles) => {
    const findings = withKeys(details?.findings ?? []);
    const make = (finding) => {
      const child = findingElement(finding, (opened) => {
        const isNew = opened.open !== opened.wasOpen;
        opened.wasOpen = opened.open;
        if (isNew) onToggle(run.name, finding.key, opened.open);
        if (opened.open) updateFinding(opened, opened.shownFinding, opened.shownRun, titles);
      });
      const byDefault = finding === findings[0] && finding.severity !== "note";
      child.open = child.wasOpen = isOpen(run.name, finding.key, byDefault);
      return h("li", {}, child);
    };
    const keyOf = (finding) => `${run.name} ${finding.key}`;
    reconcile(place, findings, keyOf, make, (item, finding) => {
      const child = item.firstChild;
      child.shownFinding = finding;
      child.shownRun = details;
      updateFinding(child, finding, details, titles);
    });
  };

  /** Move the focus to the run's name, or to its finding of a fault. */
  const focus = (fault) => {
    const all = [...list.querySelectorAll("details")];
    const found = all.find((child) => fault && child.dataset.fault === fault);
    if (found) {
      found.open = true;
      found.firstChild.focus();
      found.scrollIntoView({ block: "start" });
    } else name.focus();
  };
  return { element, update, focus };
}

const START = `from tfcourse.doctor import Recorder

model.fit(train_ds, validation_data=val_ds,
          callbacks=[Recorder("LOGDIR/mine")])`;

/** What to do where the logdir holds no run. */
export function emptyPage() {
  const code = h("code", {});
  const button = h("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    if (await copy(code.textContent, code)) button.textContent = "Copied";
  });
  const where = h("code", {});
  const element = h(
    "article",
    { class: "empty" },
    h("h2", {}, "There is no run yet"),
    h("p", {}, "TensorBoard looks for runs in ", where, ". Record one there:"),
    h("div", { class: "row" }, h("h3", {}, "In your training script"), button),
    h("pre", { tabindex: 0, role: "region", "aria-label": "Code" }, code),
    h(
      "p",
      {},
      "The findings appear here while it trains. Runs of Keras's own TensorBoard ",
      "callback are read as well, from their scalars alone.",
    ),
  );
  const update = (logdir) => {
    where.textContent = logdir || "the folder it was started with";
    code.textContent = START.replace("LOGDIR", () => logdir || "logs/runs");
  };
  return { element, update };
}
