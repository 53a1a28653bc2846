// The table of places: site, building, room, and for a token of the technical role each room's devices, asked for when
// the room is opened. Hidden where the API knows no places yet. What is not told apart by place yet (endpoints since
// `apart_until`) stands apart from places that have too few of them.

import { token } from "/page/api.js";
import { element, fill, how, table } from "/page/parts.js";
import { figure, moment, named, t } from "/page/words.js";

const LEVELS = ["site", "building", "room"];
const FOLDED = "(folded)";
const OTHER = "other";
const LATER = "\uffff"; // no name of a place, and behind all of them

const NAMES = ["kwh", "eur", "kgco2e"].flatMap((name) => [name, `${name}_low`, `${name}_high`]);

// Rows of one place, added up; those of places that are not told apart yet have a place that begins with LATER.
function together(list) {
  const found = new Map();
  for (const row of list) {
    const key = LEVELS.map((level) => row[level]).join("\n");
    const before = found.get(key);
    if (!before) found.set(key, { ...row });
    else for (const name of NAMES) before[name] = before[name] === null || row[name] === null ? null : before[name] + row[name];
  }
  return [...found.values()];
}

async function split(asked, mine, begin, end) {
  const levels = LEVELS.join(",");
  const found = await asked(begin, end, levels);
  if (!found.apart_until) return mine(found.rows);
  const until = new Date(`${found.apart_until.slice(0, 16)}Z`);
  const [before, after] = await Promise.all([until > begin ? asked(begin, until, levels) : { rows: [] }, asked(until > begin ? until : begin, end, levels)]);
  const site = LATER + found.apart_until;
  const later = mine(after.rows).map((row) => (row.site === OTHER ? { ...row, site, building: "", room: "" } : row));
  return together([...mine(before.rows), ...later]);
}

export async function places(asked, mine, begin, end) {
  const section = document.getElementById("places-section");
  section.hidden = asked === null;
  if (asked === null) return;
  const list = (await split(asked, mine, begin, end)).filter((row) => LEVELS.some((level) => row[level]));
  section.hidden = list.length === 0;
  const devices = token() ? async (where) => mine((await asked(begin, end, "class,device", where)).rows) : null;
  const told = [t(devices ? "places.how.technical" : "places.how"), devices ? "" : t("places.how.later")].join(" ");
  fill("places", ...branches(list, 0, "place", devices), how("places", told));
}

function called(name) {
  if (name.startsWith(LATER)) return t("place.later", { day: moment(`${name.slice(1, 11)}T00:00:00Z`, { day: "numeric", month: "long" }, "UTC") });
  return name === OTHER ? t("place.other") : name || t("place.none");
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

// What has a name first, then what is too small for one, then what is not told apart yet.
const rank = (name) => [OTHER, LATER].indexOf(name.startsWith(LATER) ? LATER : name);

function branches(list, depth, key, devices) {
  const level = LEVELS[depth];
  const last = depth === LEVELS.length - 1;
  const ordered = [...list].sort((a, b) => rank(a[level]) - rank(b[level]) || a[level].localeCompare(b[level]));
  if (last && !devices) return [figures(t("places.title"), [["room", (row) => called(row.room)]], ordered)];
  const names = [...new Set(ordered.map((row) => row[level]))];
  return names.map((name) => {
    const inside = ordered.filter((row) => row[level] === name);
    const kwh = inside.some((row) => row.kwh === null) ? null : inside.reduce((all, row) => all + row.kwh, 0);
    const line = [element("span", {}, called(name)), element("span", { class: "far" }, figure(kwh, "kWh"))];
    if (depth === 0 && rank(name) >= 0) return element("p", { class: "leaf" }, ...line); // there is nothing below it
    const summary = element("summary", {}, ...line);
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
