// The table of places: site, building, room, and for a token of the technical role each room's devices, asked for when
// the room is opened. Hidden where the API knows no places yet.

import { token } from "/page/api.js";
import { element, fill, how, table } from "/page/parts.js";
import { figure, named, t } from "/page/words.js";

const LEVELS = ["site", "building", "room"];
const FOLDED = "(folded)";

export async function places(asked, mine) {
  const section = document.getElementById("places-section");
  section.hidden = asked === null;
  if (asked === null) return;
  const found = await asked(LEVELS.join(","));
  const list = mine(found.rows).filter((row) => LEVELS.some((level) => row[level]));
  section.hidden = list.length === 0;
  const devices = token() ? async (where) => mine((await asked("class,device", where)).rows) : null;
  fill("places", ...branches(list, 0, "place", devices), how("places", t(devices ? "places.how.technical" : "places.how")));
}

function called(name) {
  return name === "other" ? t("place.other") : name || t("place.none");
}

function between(row, name, unit) {
  return row[name] === null ? "–" : `${figure(row[`${name}_low`], unit)} – ${figure(row[`${name}_high`], unit)}`;
}

const FIGURES = [
  ["energy", (row) => figure(row.kwh, "kWh")],
  ["interval.name", (row) => between(row, "kwh", "kWh")],
  ["cost", (row) => figure(row.eur ?? null, "€")],
  ["carbon", (row) => figure(row.kgco2e, "kgCO2e")],
];

function figures(caption, names, list) {
  const heads = [...names, ...FIGURES].map(([key]) => t(key));
  return table(caption, heads, list.map((row) => [...names, ...FIGURES].map(([, of]) => of(row))));
}

function branches(list, depth, key, devices) {
  const level = LEVELS[depth];
  const last = depth === LEVELS.length - 1;
  const ordered = [...list].sort((a, b) => a[level].localeCompare(b[level]));
  if (last && !devices) return [figures(t("places.title"), [["room", (row) => called(row.room)]], ordered)];
  const names = [...new Set(ordered.map((row) => row[level]))];
  return names.map((name) => {
    const inside = ordered.filter((row) => row[level] === name);
    const kwh = inside.some((row) => row.kwh === null) ? null : inside.reduce((all, row) => all + row.kwh, 0);
    const summary = element("summary", {}, element("span", {}, called(name)), element("span", { class: "far" }, figure(kwh, "kWh")));
    const below = last ? [] : branches(inside, depth + 1, `${key}/${name}`, devices);
    const branch = element("details", { class: "branch", "data-key": `${key}/${name}` }, summary, ...below);
    if (last) branch.addEventListener("toggle", () => branch.open && within(branch, inside[0], devices));
    return branch;
  });
}

// The devices of a room, when it is opened: old energy of endpoints is their room's and no device's any more.
async function within(branch, row, devices) {
  if (branch.dataset.asked) return;
  branch.dataset.asked = "yes";
  const list = await devices(Object.fromEntries(LEVELS.map((level) => [level, row[level]])));
  const heads = [["device", (of) => (of.device === FOLDED ? t("device.folded") : of.device)], ["class", (of) => named("class", of.class)]];
  branch.append(figures(called(row.room), heads, list.sort((a, b) => a.device.localeCompare(b.device))));
}
