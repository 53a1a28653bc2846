// The three charts: last 24 hours, last twelve months, typical week; each with its figures as a table.

import { chart, colour, legend, table } from "/page/parts.js";
import { moment, named, rounded, t } from "/page/words.js";

const HOUR = 3600000;
const font = { fontFamily: "system-ui, sans-serif" };
const tip = () => ({ renderMode: "richText", backgroundColor: colour("card"), borderColor: colour("line"), textStyle: { color: colour("ink") } });
const cell = (x) => (x === null ? "–" : rounded(x));

// An interval as a line from its low to its high end; what is not known is not drawn.
function whisker(_, api) {
  const [x, low, high] = [0, 1, 2].map((n) => api.value(n));
  if (Number.isNaN(low) || Number.isNaN(high)) return null;
  const [[middle, bottom], [, top]] = [api.coord([x, low]), api.coord([x, high])];
  const half = Math.min(api.size([1, 0])[0] * 0.16, 7);
  const bar = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: colour("ink"), lineWidth: 1.5 } });
  return { type: "group", children: [bar(middle, bottom, middle, top), bar(middle - half, bottom, middle + half, bottom), bar(middle - half, top, middle + half, top)] };
}

function axes(times, unit) {
  const text = { color: colour("muted") };
  return {
    textStyle: font,
    grid: { left: 8, right: 16, top: 32, bottom: 8, containLabel: true },
    xAxis: { type: "category", data: times, axisLine: { lineStyle: { color: colour("line") } }, axisLabel: { ...text, hideOverlap: true } },
    yAxis: { type: "value", name: unit, min: 0, nameTextStyle: { ...text, align: "left" }, axisLabel: { ...text, formatter: (x) => rounded(x) }, splitLine: { lineStyle: { color: colour("line") } } },
  };
}

// Stacked by class, with the interval of the whole; a bucket that is not whole is drawn paler, and its label says so.
export function stacked(id, title, rows, unit, of, label) {
  const { list, whole } = rows;
  const sums = new Map(whole.map((row) => [row.begin, row]));
  const begins = [...new Set([...list, ...whole].map((row) => row.begin))].sort((a, b) => new Date(a) - new Date(b));
  const classes = [...new Set(list.map((row) => row.class))].sort();
  const at = new Map(list.map((row) => [`${row.begin} ${row.class}`, row]));
  const ends = new Map([...list, ...whole].map((row) => [row.begin, row.end]));
  const drawn = (row, name) => (row && row[name] !== null ? of(row, name) : null);
  const times = begins.map((begin) => label.short(begin, ends.get(begin)));
  const full = begins.map((begin) => label.long(begin, ends.get(begin)));
  const pale = begins.map((begin) => label.part(begin, ends.get(begin)));
  const value = (begin, name) => drawn(at.get(`${begin} ${name}`), "kwh");
  const bars = classes.map((name, n) => ({
    name: named("class", name), type: "bar", stack: "all", barCategoryGap: "22%", itemStyle: { color: colour(`class-${n % 5}`) },
    data: begins.map((begin, k) => ({ value: value(begin, name), itemStyle: pale[k] ? { opacity: 0.5 } : {} })),
  }));
  const between = begins.map((begin) => ["kwh_low", "kwh_high"].map((name) => drawn(sums.get(begin), name)));
  const whiskers = { name: t("interval.name"), type: "custom", renderItem: whisker, encode: { x: 0, y: [1, 2] }, z: 5, data: between.map(([low, high], n) => [n, low ?? NaN, high ?? NaN]) };
  const told = (n) => [full[n], ...classes.map((name) => `${named("class", name)}: ${cell(value(begins[n], name))} ${unit}`), `${t("kwh")}: ${cell(drawn(sums.get(begins[n]), "kwh"))} ${unit}`, `${t("interval.name")}: ${cell(between[n][0])} – ${cell(between[n][1])} ${unit}`].join("\n");
  const tooltip = { trigger: "axis", ...tip(), formatter: (points) => told(points[0].dataIndex) };
  const columns = ["kwh", "kwh_low", "kwh_high"];
  const lines = begins.map((begin, n) => [full[n], ...classes.map((name) => cell(value(begin, name))), ...columns.map((name) => cell(drawn(sums.get(begin), name)))]);
  const heads = [t("time"), ...classes.map((name) => `${named("class", name)} (${unit})`), ...columns.map((name) => `${t(name)} (${unit})`)];
  const entries = [...classes.map((name, n) => [`c${n % 5}`, named("class", name)]), ["whisker", t("interval.name")], ...(pale.some(Boolean) ? [["pale", t("part")]] : [])];
  chart(id, title, { ...axes(times, unit), tooltip, series: [...bars, whiskers] }, legend(entries), table(title, heads, lines));
}

export function week(list) {
  const cells = new Map();
  for (const row of list) {
    if (row.kwh === null) continue;
    const local = new Date(`${row.begin.slice(0, 19)}Z`);
    const key = ((local.getUTCDay() + 6) % 7) * 24 + local.getUTCHours();
    const hours = (new Date(row.end) - new Date(row.begin)) / HOUR;
    cells.set(key, [...(cells.get(key) ?? []), row.kwh / hours]);
  }
  const days = [...Array(7).keys()].map((n) => moment(`2024-01-0${n + 1}T00:00:00Z`, { weekday: "short" }, "UTC"));
  const hours = [...Array(24).keys()].map((n) => moment(`2024-01-01T${String(n).padStart(2, "0")}:00:00Z`, { hour: "2-digit" }, "UTC"));
  const mean = (key) => (cells.has(key) ? cells.get(key).reduce((a, b) => a + b) / cells.get(key).length : null);
  const all = [...Array(168).keys()].map(mean);
  const most = Math.max(...all, 0);
  const text = { color: colour("muted") };
  const option = {
    textStyle: font,
    grid: { left: 8, right: 8, top: 8, bottom: 72, containLabel: true },
    tooltip: { ...tip(), formatter: ({ data }) => `${days[data[1]]} ${hours[data[0]]} · ${rounded(data[2])} kW` },
    xAxis: { type: "category", data: hours, axisLabel: { ...text, hideOverlap: true }, axisLine: { show: false }, axisTick: { show: false } },
    yAxis: { type: "category", data: days, inverse: true, axisLabel: text, axisLine: { show: false }, axisTick: { show: false } },
    visualMap: { min: 0, max: Math.max(most, 0.001), calculable: false, orient: "horizontal", left: "center", bottom: 0, text: [`${rounded(most)} kW`, "0 kW"], textStyle: text, inRange: { color: [0, 1, 2, 3].map((n) => colour(`heat-${n}`)) } },
    series: [{ type: "heatmap", data: all.flatMap((x, n) => (x === null ? [] : [[n % 24, Math.floor(n / 24), x]])), itemStyle: { borderColor: colour("card"), borderWidth: 2, borderRadius: 4 } }],
  };
  const lines = hours.map((hour, h) => [hour, ...days.map((_, d) => cell(all[d * 24 + h]))]);
  chart("week", t("week.title"), option, null, table(t("week.title"), [t("time"), ...days], lines));
}
