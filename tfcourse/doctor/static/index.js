// The tab "Doctor": TensorBoard loads this module in a frame and calls `render`.

import { compareView } from "./compare.js";
import { counted, h } from "./dom.js";
import { withKeys } from "./finding.js";
import { followReloads, followTheme, isVisible } from "./host.js";
import { emptyPage, listView, runView } from "./runs.js";
import { getJson } from "./server.js";

// Stricter than TensorBoard's: no inline script or style, nothing from elsewhere.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self'; base-uri 'self'; form-action 'none'";
const MEMORY = "tfcourse-doctor";
const BUSY_SECONDS = 2; // While a diagnosis is awaited,
const RUNNING_SECONDS = 5; // while a run goes on,
const IDLE_SECONDS = 30; // and else: a new run may start.

const state = {
  runs: [],
  titles: {},
  version: "",
  details: new Map(), // Run name to its full record.
  selected: null,
  view: "runs",
  pane: "list", // Which of both a narrow window shows.
  words: "",
  only: "all",
  live: true,
  opened: {}, // "run finding" to whether the user opened or closed it.
};

const SHOWN = {
  all: ["All runs", () => true],
  error: ["With errors", (run) => run.counts.error > 0],
  faulty: ["With errors or warnings", (run) => run.counts.error + run.counts.warning > 0],
  healthy: ["Healthy", (run) => run.state === "healthy"],
  running: ["Going on", (run) => run.running],
};

function remember() {
  const { selected, view, pane, words, only, live, opened } = state;
  try {
    const kept = { selected, view, pane, words, only, live, opened };
    sessionStorage.setItem(MEMORY, JSON.stringify(kept));
  } catch {
    // Without storage, the tab forgets when the page is left.
  }
}

function recall() {
  try {
    Object.assign(state, JSON.parse(sessionStorage.getItem(MEMORY) ?? "{}"));
  } catch {
    // The same.
  }
  if (!Object.hasOwn(SHOWN, state.only)) state.only = "all";
}

function matches(run) {
  const texts = run.findings.flatMap(({ fault, message }) => [
    fault,
    state.titles[fault] ?? "",
    message,
  ]);
  const text = [run.name, ...texts].join(" ").toLowerCase();
  const words = state.words.toLowerCase().split(/\s+/);
  return SHOWN[state.only][1](run) && words.every((word) => text.includes(word));
}

function totals(runs) {
  const count = (wanted) => runs.filter((run) => run.state === wanted).length;
  const parts = [
    [count("error"), "with errors"],
    [count("warning"), "with warnings"],
    [count("healthy"), "healthy"],
    [count("waiting"), "not diagnosed yet"],
    [count("unreadable"), "not readable"],
  ];
  const texts = parts.filter(([n]) => n > 0).map(([n, text]) => `${n} ${text}`);
  return `${counted(runs.length, "run")}: ${texts.join(", ")}`;
}

/** The header's elements and the views below it, made once. */
class Page {
  constructor() {
    this.totals = h("p", { class: "totals" });
    this.status = h("p", { class: "visually-hidden", role: "status" });
    this.alert = h("p", { class: "alert", role: "alert", hidden: true });
    this.buttons = ["runs", "compare"].map((view) =>
      h(
        "button",
        { type: "button", "data-view": view, onclick: () => this.show(view) },
        view === "runs" ? "Run by run" : "Compare runs",
      ),
    );
    this.list = listView((name, isFinal) => this.select(name, isFinal));
    this.run = runView({
      onBack: () => this.showPane("list"),
      isOpen: (run, key, byDefault) => state.opened[`${run} ${key}`] ?? byDefault,
      onToggle: (run, key, isOpen) => {
        state.opened[`${run} ${key}`] = isOpen;
        remember();
      },
    });
    this.compare = compareView((name, fault) => this.openFinding(name, fault));
    this.empty = emptyPage();
    this.main = h(
      "main",
      { id: "main", tabindex: -1, "aria-label": "Findings" },
      this.run.element,
      this.compare.element,
      this.empty.element,
    );
    this.body = h("div", { class: "columns" }, this.list.element, this.main);
    document.body.append(this.header(), this.alert, this.body);
  }

  header() {
    const skip = h("button", { type: "button", class: "skip" }, "Skip to the findings");
    skip.addEventListener("click", () => {
      this.showPane("run");
      this.main.focus();
    });
    const words = h("input", {
      type: "search",
      id: "words",
      placeholder: "run or fault",
      value: state.words,
      autocomplete: "off",
    });
    words.addEventListener("input", () => this.change({ words: words.value }));
    const options = Object.entries(SHOWN).map(([value, [text]]) =>
      h("option", { value, selected: value === state.only }, text),
    );
    const only = h("select", { id: "only" }, options);
    only.addEventListener("change", () => this.change({ only: only.value }));
    const live = h("input", { type: "checkbox", id: "live", checked: state.live });
    live.addEventListener("change", () => {
      this.change({ live: live.checked });
      if (live.checked) refresh();
    });
    const controls = h(
      "div",
      { class: "controls", role: "search", "aria-label": "Runs shown" },
      h("div", { class: "views", role: "group", "aria-label": "View" }, this.buttons),
      h("label", { for: "words" }, h("span", {}, "Filter"), words),
      h("label", { for: "only" }, h("span", {}, "Show"), only),
      h("label", { for: "live", class: "check" }, live, "Refresh by itself"),
    );
    const title = h("div", { class: "head" }, h("h1", {}, "Doctor"), this.totals);
    return h("header", {}, skip, title, this.status, controls);
  }

  change(changes) {
    Object.assign(state, changes);
    remember();
    this.draw();
    const shown = state.runs.filter(matches).length;
    this.status.textContent = `${shown} of ${counted(state.runs.length, "run")} shown`;
  }

  show(view) {
    this.change({ view });
  }

  showPane(pane) {
    if (state.pane === pane) return;
    this.change({ pane });
    if (pane === "run") this.run.focus();
    else this.list.focus();
  }

  /** Select a run; only a final choice leaves the list where a narrow window shows it. */
  select(name, isFinal) {
    const isOther = state.selected !== name;
    state.selected = name;
    if (isFinal) state.pane = "run";
    remember();
    this.draw();
    if (isOther) this.main.scrollTop = 0;
    if (isFinal && getComputedStyle(this.list.element).display === "none") {
      this.run.focus();
    }
    return loadDetails();
  }

  async openFinding(name, fault) {
    state.view = "runs";
    await this.select(name, true);
    for (const { key } of withKeys(state.details.get(name)?.findings ?? [])) {
      if (key.startsWith(`${fault}|`)) state.opened[`${name} ${key}`] = true;
    }
    this.draw();
    this.run.focus(fault);
  }

  draw() {
    const shown = state.runs.filter(matches);
    const isEmpty = !state.runs.length;
    const isCompare = state.view === "compare" && !isEmpty;
    document.body.dataset.view = isEmpty ? "empty" : state.view;
    document.body.dataset.pane = state.pane;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
    }
    this.totals.textContent = isEmpty ? "No runs" : totals(state.runs);
    this.empty.element.hidden = !isEmpty;
    this.run.element.hidden = isEmpty || isCompare;
    this.list.element.hidden = isEmpty || isCompare;
    this.compare.element.hidden = !isCompare;
    if (isEmpty) this.empty.update(state.logdir);
    else if (isCompare) this.compare.update(shown, state.titles);
    else {
      this.list.update(shown, state.selected, state.runs.length);
      const run = shown.find(({ name }) => name === state.selected);
      this.run.update(run, run && state.details.get(run.name), state.titles);
    }
  }

  setAlert(text) {
    if (this.alert.textContent !== text) this.alert.textContent = text;
    this.alert.hidden = !text;
  }
}

let page = null;
let refreshing = null;
let timer = 0;

/** Get the selected run's full record, where it is new or has changed. */
async function loadDetails() {
  const run = state.runs.find(({ name }) => name === state.selected);
  if (!run) return;
  const text = JSON.stringify(run);
  if (state.details.get(run.name)?.ofSummary === text) return;
  try {
    const details = await getJson("run", [["name", run.name]]);
    state.details.set(run.name, { ...details, ofSummary: text });
  } catch {
    return; // The next refresh tries again.
  }
  page.draw();
}

async function load() {
  try {
    const answer = await getJson("runs", [["known", state.version]]);
    if (!answer.unchanged) {
      state.runs = answer.runs.sort((a, b) =>
        a.name.localeCompare(b.name, "en", { numeric: true }),
      );
      Object.assign(state, { titles: answer.titles, logdir: answer.logdir });
      const names = new Set(state.runs.map(({ name }) => name));
      if (!names.has(state.selected)) state.selected = state.runs[0]?.name ?? null;
      for (const name of state.details.keys()) {
        if (!names.has(name)) state.details.delete(name);
      }
    }
    page.setAlert("");
    await loadDetails();
    state.version = answer.version; // Now, so that a failure above is made good.
    page.draw();
  } catch {
    const time = new Date().toLocaleTimeString();
    page.setAlert(`TensorBoard doesn't answer (${time}); what is shown may be old.`);
  }
  document.body.dataset.state = "ready";
}

/** Refresh at once, one at a time, then wait for the next. */
async function refresh() {
  refreshing ??= load().finally(() => {
    refreshing = null;
  });
  await refreshing;
  clearTimeout(timer);
  const waits = state.runs.some((run) => run.state === "waiting" && !run.recorded);
  const runs = state.runs.some((run) => run.running);
  const seconds = waits ? BUSY_SECONDS : runs ? RUNNING_SECONDS : IDLE_SECONDS;
  timer = setTimeout(poll, seconds * 1000);
}

function poll() {
  if (state.live && isVisible()) refresh();
  else timer = setTimeout(poll, BUSY_SECONDS * 1000);
}

/** Draw the tab and keep it up to date. */
export async function render() {
  const policy = { "http-equiv": "Content-Security-Policy", content: POLICY };
  const style = { rel: "stylesheet", href: new URL("./doctor.css", import.meta.url).href };
  const loaded = new Promise((done) => {
    const link = h("link", { ...style, onload: done, onerror: done });
    document.head.append(h("meta", policy), link);
  });
  document.documentElement.lang = "en";
  document.title = "Doctor";
  followTheme();
  recall();
  await loaded;
  page = new Page();
  followReloads(refresh);
  window.addEventListener("resize", () => page.draw());
  await refresh();
}
