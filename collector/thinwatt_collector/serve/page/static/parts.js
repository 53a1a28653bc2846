// Small pieces of the page: elements, figures with their interval, tables, charts with a table beside them.

import { figure, t } from "/page/words.js";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, given] of Object.entries(attributes)) if (given !== null) made.setAttribute(key, given);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// New content; an open disclosure stays open and what has the focus keeps it, by their data-key.
export function fill(id, ...children) {
  const place = document.getElementById(id);
  const open = [...place.querySelectorAll("details[open][data-key]")].map((found) => found.dataset.key);
  const focused = place.contains(document.activeElement) ? document.activeElement.closest("[data-key]")?.dataset.key : null;
  place.replaceChildren(...children.filter((child) => child !== null));
  for (const found of place.querySelectorAll("details[data-key]")) if (open.includes(found.dataset.key)) found.open = true;
  const again = focused && place.querySelector(`[data-key="${CSS.escape(focused)}"]`);
  (again?.querySelector("summary") ?? again)?.focus({ preventScroll: true });
}

export function how(key, text) {
  return element("details", { class: "how", "data-key": key }, element("summary", {}, t("how")), element("p", {}, text));
}

export function interval(low, high, unit) {
  if (low === null || low === undefined) return element("p", { class: "muted" }, t("interval.none"));
  return element("p", { class: "muted" }, t("interval", { low: figure(low, unit), high: figure(high, unit) }));
}

// Both ends of an interval; where they have one unit it stands once.
export function between(row, name, unit) {
  if (row[name] === null) return "–";
  const [low, high] = ["low", "high"].map((end) => figure(row[`${name}_${end}`], unit));
  const [at, past] = [low, high].map((text) => text.lastIndexOf("\u202f"));
  return `${low.slice(at) === high.slice(past) ? low.slice(0, at) : low} – ${high}`;
}

// A figure in large; its unit is smaller, and may stand below where there is no room.
export function big(x, unit, attributes = {}) {
  const text = figure(x, unit);
  if (x === null || x === undefined) return element("p", { class: "dim", ...attributes }, text);
  const [, amount, name] = /^(.*?)[\s\u00a0\u202f]([^\d\s]+)$/u.exec(text) ?? [null, text, ""];
  return element("p", { class: "big", ...attributes }, amount, ...(name ? [" ", element("span", { class: "unit" }, name)] : []));
}

// Names and figures in two columns: [name, figure, colour of a dot, attributes of the figure].
export function pairs(lines) {
  return element("dl", { class: "pairs" }, ...lines.map(([name, text, dot, attributes]) => element("div", {},
    element("dt", dot ? { class: `dot ${dot}` } : {}, name), element("dd", attributes ?? {}, text))));
}

export function legend(entries) {
  return element("ul", { class: "legend", "aria-hidden": "true" }, ...entries.map(([mark, text]) => element("li", {}, element("span", { class: `swatch ${mark}` }), text)));
}

// On a narrow screen each line becomes a card, its cells with their heads (style.css); the roles then stay by name.
export function table(caption, heads, lines) {
  const head = element("tr", { role: "row" }, ...heads.map((text) => element("th", { scope: "col", role: "columnheader" }, text)));
  const body = lines.map((line) => element("tr", { role: "row" }, ...line.map((text, n) => (n
    ? element("td", { role: "cell", "data-head": heads[n] }, text)
    : element("th", { scope: "row", role: "rowheader" }, text)))));
  const size = ["few", "some", "many"][(heads.length > 3) + (heads.length > 5)];
  return element("div", { class: `scroll ${size}`, tabindex: "0", role: "group", "aria-label": caption },
    element("table", { role: "table" }, element("caption", { class: "unseen" }, caption), element("thead", { role: "rowgroup" }, head), element("tbody", { role: "rowgroup" }, ...body)));
}

const charts = new Map();

// A chart, its legend above and its figures as a table below it; without the library only the table, open.
export function chart(id, label, option, above, figures) {
  const list = element("details", { class: "how", "data-key": `${id}-table` }, element("summary", {}, t("table")), figures);
  const place = document.getElementById(id);
  if (!globalThis.echarts) {
    list.open = true;
    fill(id, element("p", { class: "muted" }, t("charts.missing")), list);
    return;
  }
  let drawn = charts.get(id);
  if (!drawn) {
    place.replaceChildren(element("div", { id: `${id}-above` }), element("div", { class: "chart", id: `${id}-chart` }), element("div", { id: `${id}-below` }));
    drawn = globalThis.echarts.init(document.getElementById(`${id}-chart`), null, { renderer: "canvas" });
    charts.set(id, drawn);
    new ResizeObserver(() => drawn.resize()).observe(document.getElementById(`${id}-chart`));
  }
  const canvas = document.getElementById(`${id}-chart`);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  drawn.setOption({ animation: false, ...option }, { notMerge: true });
  fill(`${id}-above`, above);
  fill(`${id}-below`, list);
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
