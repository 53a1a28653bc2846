// What to measure next: a list in the order of what it is worth, each line with its bar.

import { element, fill, how } from "/page/parts.js";
import { figure, named, number, percent, t } from "/page/words.js";

const LEVELS = ["site", "building", "room"];
const OTHER = "other";
const SHOWN = 10;

// A place in words; "" where a line is of places too small to be named at all, about which nobody can do anything.
export function placeOf(row) {
  if (row.site === OTHER) return "";
  const named = LEVELS.filter((level) => row[level]);
  return named.map((level) => (row[level] === OTHER ? t(`small.${level}`) : row[level])).join(" · ") || t("place.none");
}

function line(row, most) {
  const bar = element("span", { class: "worth" });
  bar.style.width = `${Math.max(100 * (row.kwh_removed / most), 0.5)}%`;
  const model = row.model === OTHER ? t("model.several") : row.model;
  const what = [t("advice.machines", { n: row.devices, class: named("class.many", row.class) }), model].filter(Boolean).join(" · ");
  return element("li", {},
    element("div", { class: "next" },
      element("span", { class: "what" }, element("strong", {}, placeOf(row)), element("span", {}, what)),
      element("span", { class: "gain" }, element("strong", {}, figure(row.kwh_removed, "kWh")), element("span", { class: "muted" }, percent(row.share_removed, 1)))),
    element("div", { class: "track", "aria-hidden": "true" }, bar));
}

export function advice(estimate) {
  document.getElementById("advice-section").hidden = !estimate;
  if (!estimate) return;
  const { energy } = estimate;
  const able = estimate.advice.filter(placeOf).slice(0, SHOWN);
  const folded = estimate.advice.filter((row) => !placeOf(row));
  const most = able.length ? able[0].kwh_removed : 1;
  const parts = [element("p", {}, t("advice.year", { energy: figure(energy.kwh, "kWh"), low: figure(energy.kwh_low, "kWh"), high: figure(energy.kwh_high, "kWh"), devices: number(estimate.devices), agents: number(estimate.agents) }))];
  if (able.length) parts.push(element("p", { class: "muted" }, t("advice.lead")), element("ol", { class: "advice" }, ...able.map((row) => line(row, most))));
  else parts.push(element("p", {}, t("advice.done")));
  for (const row of folded) parts.push(element("p", { class: "muted" }, t("advice.folded", { n: row.devices, energy: figure(row.kwh_removed, "kWh") })));
  fill("advice", ...parts, how("advice", t("advice.how")));
}
