// The table of places: site, building, room. Hidden where the API knows no places yet.

import { element, fill, how, table } from "/page/parts.js";
import { figure, t } from "/page/words.js";

const LEVELS = ["site", "building", "room"];

export async function places(asked, mine) {
  const section = document.getElementById("places-section");
  section.hidden = asked === null;
  if (asked === null) return;
  const found = await asked(LEVELS.join(","));
  const list = mine(found.rows).filter((row) => LEVELS.some((level) => row[level]));
  section.hidden = list.length === 0;
  fill("places", ...branches(list, 0, "place"), how("places", t("places.how")));
}

function branches(list, depth, key) {
  const level = LEVELS[depth];
  const names = [...new Set(list.map((row) => row[level]))].sort((a, b) => a.localeCompare(b));
  if (depth === LEVELS.length - 1) {
    const lines = list.map((row) => [row.room || t("place.none"), figure(row.kwh, "kWh"), row.kwh === null ? "–" : `${figure(row.kwh_low, "kWh")} – ${figure(row.kwh_high, "kWh")}`, figure(row.kgco2e, "kgCO2e")]);
    return [table(t("places.title"), [t("room"), t("energy"), t("interval.name"), t("carbon")], lines)];
  }
  return names.map((name) => {
    const inside = list.filter((row) => row[level] === name);
    const kwh = inside.some((row) => row.kwh === null) ? null : inside.reduce((all, row) => all + row.kwh, 0);
    const summary = element("summary", {}, element("span", {}, name || t("place.none")), element("span", { class: "far" }, figure(kwh, "kWh")));
    return element("details", { class: "branch", "data-key": `${key}/${name}` }, summary, ...branches(inside, depth + 1, `${key}/${name}`));
  });
}
