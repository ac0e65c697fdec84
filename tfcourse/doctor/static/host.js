// What the tab knows of the TensorBoard around it: its theme, its reloads, its addresses.
// The frame has the same origin; where the parent can't be reached, the tab does without.

const DASHBOARDS = {
  scalars: "Scalars",
  timeseries: "Time series",
  images: "Images",
  histograms: "Histograms",
  distributions: "Distributions",
  graphs: "Graphs",
  text: "Text",
  hparams: "HParams",
  projector: "Projector",
};

function parentDocument() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}

/** Keep the theme equal to TensorBoard's, else to what the browser prefers. */
export function followTheme() {
  const body = parentDocument()?.body;
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = body ? body.classList.contains("dark-mode") : preference.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  if (body) new MutationObserver(apply).observe(body, { attributeFilter: ["class"] });
  else preference.addEventListener("change", apply);
  apply();
}

/** Call `reload` whenever TensorBoard reloads its data, by its button or by itself. */
export function followReloads(reload) {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.isReply) return;
    port1.postMessage(JSON.stringify({ ...message, payload: null, isReply: true }));
    if (message.type === "experimental.DataReloaded") reload();
  };
  window.parent.postMessage("experimental.bootstrap", window.origin, [port2]);
}

/** Return whether somebody can see the tab: TensorBoard hides frames of other tabs. */
export function isVisible() {
  return !document.hidden && window.innerHeight > 0;
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

/** Return a pattern of the sides of a run, which are runs to TensorBoard. */
function runPattern({ name, sides }) {
  return `^(${(sides.length ? sides : [name]).map(escaped).join("|")})$`;
}

/** Return the name of a dashboard, or null for one that TensorBoard doesn't have. */
export function dashboardName(dashboard) {
  return Object.hasOwn(DASHBOARDS, dashboard) ? DASHBOARDS[dashboard] : null;
}

/**
 * Return the address of a dashboard that shows one tag of one run.
 *
 * Most dashboards read their filters from the hash, without loading the page anew; Time
 * series reads the query. Both as tried out with TensorBoard 2.21.
 */
export function addressOf(run, dashboard, tag) {
  // A tag that ends with a slash stands for all that begin with it.
  const tags = tag && `^${escaped(tag)}${tag.endsWith("/") ? "" : "$"}`;
  let { path, query } = home();
  let hash = `#${dashboard}`;
  if (dashboard === "timeseries") {
    const filters = new URLSearchParams(query);
    filters.set("runFilter", runPattern(run));
    filters.set("tagFilter", tags);
    query = `?${filters}`;
  } else if (dashboard === "graphs") {
    hash += `&run=${encodeURIComponent(run.sides[0] ?? run.name)}`;
  } else if (dashboard !== "hparams" && dashboard !== "projector") {
    if (tags) hash += `&tagFilter=${encodeURIComponent(tags)}`;
    hash += `&regexInput=${encodeURIComponent(runPattern(run))}`;
  }
  return path + query + hash;
}

/**
 * Choose a run in the graph dashboard that a link is just opening.
 *
 * TensorBoard 2.21 writes the run into that dashboard's address but doesn't read it, so
 * its menu is set from here. If its insides change, the first run is shown.
 */
export function chooseGraph(run, tag) {
  const end = Date.now() + 10_000;
  const attempt = () => {
    const dashboard = parentDocument()?.querySelector("tf-graph-dashboard");
    const root = dashboard?.shadowRoot ?? dashboard;
    const controls = root?.querySelector("tf-graph-controls");
    const datasets = controls?.datasets ?? [];
    const index = datasets.findIndex(({ name }) => run.sides.includes(name));
    if (index >= 0) {
      controls._selectedRunIndex = index;
      const tagIndex = datasets[index].tags.findIndex((one) => one.tag === tag);
      if (tagIndex >= 0) controls._selectedTagIndex = tagIndex;
    } else if (Date.now() < end) setTimeout(attempt, 100);
  };
  setTimeout(attempt, 100);
}

/** Return TensorBoard's path and query. */
function home() {
  try {
    const { pathname, search } = window.parent.location;
    if (window.parent !== window) return { path: pathname, query: search };
  } catch {
    // Another origin: TensorBoard is three folders above this file.
  }
  return { path: new URL("../../../", import.meta.url).pathname, query: "" };
}
