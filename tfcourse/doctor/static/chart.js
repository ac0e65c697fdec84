// Draws a series, or the two sides of one, as a small chart.

import { counted, digits, h, svg } from "./dom.js";

const WIDTH = 360;
const HEIGHT = 170;
const LEFT = 62;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 38;
const LOG_RATIO = 1000; // From least to greatest: above it, a linear axis hides too much.
const MAX_DOTS = 12;

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((s) => s >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = [];
  for (let i = first; i <= last; i += 1) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / 4));
  const ticks = [];
  for (let power = first; power <= last; power += every) ticks.push(10 ** power);
  return ticks;
}

function powerText(value) {
  const power = Math.round(Math.log10(value));
  return Math.abs(power) <= 1 ? digits(value) : `1e${power}`;
}

function scaleOf(low, high, from, to, logarithmic) {
  const f = logarithmic ? Math.log10 : (value) => value;
  const span = f(high) - f(low) || 1;
  return (value) => from + ((f(value) - f(low)) / span) * (to - from);
}

/** Return the least and greatest value, apart even if equal; 0 where it is near. */
function extent(values, fromZero = false) {
  let low = Math.min(...values);
  const high = Math.max(...values);
  if (fromZero && low > 0 && low < 0.3 * high) low = 0;
  if (low !== high) return [low, high];
  const margin = Math.abs(low) * 0.1 || 1;
  return [low - margin, high + margin];
}

function pathOf(points, x, y) {
  let text = "";
  let isDown = false;
  for (const [step, value] of points) {
    if (!Number.isFinite(value)) isDown = false;
    else {
      text += `${isDown ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = true;
    }
  }
  return text;
}

function lineOf({ side, points }, x, y) {
  const finite = points.filter(([, value]) => Number.isFinite(value));
  const parts = [svg("path", { class: `line ${side}`, d: pathOf(points, x, y) })];
  if (finite.length <= MAX_DOTS) {
    for (const [step, value] of finite) {
      const place = { cx: x(step).toFixed(1), cy: y(value).toFixed(1), r: 2.2 };
      parts.push(svg("circle", { class: `dot ${side}`, ...place }));
    }
  }
  for (const [step, value] of points) {
    if (Number.isFinite(value)) continue;
    const place = `translate(${x(step).toFixed(1)} ${TOP + 5})`;
    const cross = svg("path", { class: "cross", d: "M-3-3L3 3M-3 3L3-3" });
    parts.push(svg("g", { transform: place }, cross));
  }
  return parts;
}

function axes(xTicks, yTicks, x, y, labels) {
  const parts = [];
  for (const tick of yTicks) {
    const at = y(tick).toFixed(1);
    parts.push(svg("path", { class: "grid", d: `M${LEFT} ${at}H${WIDTH - RIGHT}` }));
    const place = { x: LEFT - 5, y: Number(at) + 3.5, "text-anchor": "end" };
    parts.push(svg("text", place, labels.yTick(tick)));
  }
  const bottom = HEIGHT - BOTTOM;
  for (const tick of xTicks) {
    const at = x(tick).toFixed(1);
    parts.push(svg("path", { class: "tick", d: `M${at} ${bottom}v4` }));
    const place = { x: at, y: bottom + 15, "text-anchor": "middle" };
    parts.push(svg("text", place, digits(tick)));
  }
  parts.push(
    svg("path", { class: "axis", d: `M${LEFT} ${TOP}V${bottom}H${WIDTH - RIGHT}` }),
  );
  const middle = (LEFT + WIDTH - RIGHT) / 2;
  const below = { x: middle, y: HEIGHT - 6, "text-anchor": "middle", class: "label" };
  parts.push(svg("text", below, labels.x));
  const turn = `translate(12 ${(TOP + bottom) / 2}) rotate(-90)`;
  const beside = { transform: turn, "text-anchor": "middle", class: "label" };
  parts.push(svg("text", beside, labels.y));
  return parts;
}

function shaded(range, x) {
  const [from, to] = range.map((step) => Math.min(Math.max(x(step), LEFT), WIDTH - RIGHT));
  const place = { x: from.toFixed(1), width: Math.max(to - from, 2).toFixed(1) };
  const size = { y: TOP, height: HEIGHT - TOP - BOTTOM };
  return svg("rect", { class: "range", ...place, ...size });
}

/** Return what is measured: of "dead_units/dense" and "step/loss", "dead units", "loss". */
function quantityOf(tag) {
  const parts = tag.replace(/^validation\//, "").split("/");
  return (parts[0] === "step" ? parts[1] ?? "step" : parts[0]).replaceAll("_", " ");
}

/** Return what the chart shows in words, for those who can't see it. */
function inWords(tag, series, unit) {
  const sentences = series.map(({ side, points }) => {
    const finite = points.filter(([, value]) => Number.isFinite(value));
    const lost = points.length - finite.length;
    const tail = lost ? ` ${counted(lost, "value")} not finite.` : "";
    if (!finite.length) return `${side}: no finite value.${tail}`;
    const [first, last] = [finite[0], finite[finite.length - 1]];
    const values = finite.map(([, value]) => value);
    const least = digits(Math.min(...values));
    const greatest = digits(Math.max(...values));
    return (
      `${side}: ${digits(first[1])} at ${unit} ${first[0]}, ` +
      `${digits(last[1])} at ${unit} ${last[0]}, from ${least} to ${greatest}.${tail}`
    );
  });
  return `Chart of ${tag}. ${sentences.join(" ")}`;
}

function legend(series, range, anyLost, unit) {
  const entries = series.map(({ side }) => {
    const line = svg("path", { class: `line ${side}`, d: "M1 5H23" });
    return h("span", {}, swatch(line), side);
  });
  if (range) {
    const box = svg("rect", { class: "range", width: 24, height: 10 });
    const [from, to] = range;
    const text = from === to ? `${unit} ${from}` : `${unit}s ${from} to ${to}`;
    entries.push(h("span", {}, swatch(box), text));
  }
  if (anyLost) {
    const cross = svg("path", { class: "cross", d: "M9 2L15 8M9 8L15 2" });
    entries.push(h("span", {}, swatch(cross), "not finite"));
  }
  return h("span", { class: "legend" }, entries);
}

function swatch(shape) {
  return svg("svg", { viewBox: "0 0 24 10", class: "swatch", "aria-hidden": true }, shape);
}

/** Return what stands in a chart's place until its data are there, of the same size. */
export function placeholder(tag) {
  const caption = h("figcaption", {}, h("code", {}, tag));
  return h("figure", {}, caption, h("div", { class: "placeholder" }));
}

/**
 * Return a figure with the chart of one tag.
 *
 * @param tag The tag, which the caption names.
 * @param sides [{side, steps, values}]; non-finite values come as text.
 * @param steps [first, last] optimizer step to mark, or null.
 */
export function chart(tag, sides, steps) {
  const caption = h("code", {}, tag);
  const series = sides.map(({ side, steps: at, values }) => ({
    side,
    points: at.map((step, i) => [step, values[i]]),
  }));
  const all = series.flatMap(({ points }) => points);
  const finite = all.map(([, value]) => value).filter(Number.isFinite);
  if (!all.length) {
    const text = h("p", { class: "muted" }, "No values of it in the log.");
    return h("figure", {}, h("figcaption", {}, caption), text);
  }
  const ofEpochs = /(^|\/)epoch_/.test(tag);
  const unit = ofEpochs ? "epoch" : "step";
  const ends = extent(all.map(([step]) => step));
  // A range counts steps, not epochs; one that is everything marks nothing.
  const marks = steps && !ofEpochs && (steps[0] > ends[0] || steps[1] < ends[1]);
  const range = marks ? steps : null;
  const positive = finite.length > 0 && finite.every((value) => value > 0);
  const logarithmic =
    positive && Math.max(...finite) / Math.min(...finite) >= LOG_RATIO;
  const [low, high] = extent(finite.length ? finite : [0, 1], !logarithmic);
  const [start, end] = extent([...ends, ...(range ?? [])]);
  const x = scaleOf(start, end, LEFT, WIDTH - RIGHT, false);
  const y = scaleOf(low, high, HEIGHT - BOTTOM - 4, TOP + 8, logarithmic);
  const xTicks = linearTicks(start, end, 5).filter(Number.isInteger);
  const ticks = logarithmic ? logTicks(low, high) : linearTicks(low, high, 5);
  const yTicks = finite.length ? ticks : [];
  const quantity = quantityOf(tag);
  const labels = {
    x: unit,
    y: logarithmic ? `${quantity}, log scale` : quantity,
    yTick: logarithmic ? powerText : digits,
  };
  const drawing = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      class: "chart",
      role: "img",
      "aria-label": inWords(tag, series, unit),
    },
    range ? shaded(range, x) : null,
    axes(xTicks, yTicks, x, y, labels),
    series.flatMap((one) => lineOf(one, x, y)),
  );
  const about = legend(series, range, finite.length < all.length, unit);
  return h("figure", {}, h("figcaption", {}, caption, about), drawing);
}
