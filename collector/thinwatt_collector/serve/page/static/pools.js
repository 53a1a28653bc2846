// Pools of desktops, this month, for the technical role: their part of the hosts' energy, and an hour at one of them.
// What no pool carries is a line of its own; parts by different policies are never added, so each policy has its table.

import { sum } from "/page/glance.js";
import { between, element, fill, how, pairs, table } from "/page/parts.js";
import { figure, percent, t } from "/page/words.js";

const OTHER = "other";
const PARTS = [
  ["idle", (row) => row.pool && row.part === "idle"],
  ["dynamic", (row) => row.pool && row.part === "dynamic"],
  ["unreserved", (row) => !row.pool && row.part === "idle"],
  ["overhead", (row) => row.part === "overhead"],
  ["unattributed", (row) => row.part === "unattributed"],
];

const shown = (x, unit) => (x === null ? "–" : figure(x, unit));

function called(pool) {
  return pool === OTHER ? t("pools.other") : pool || t("pools.none");
}

// The largest first, then the small ones together, then what no pool carries.
const rank = (pool) => (pool === "" ? 2 : Number(pool === OTHER));

function split(shares) {
  const whole = sum(shares, "kwh");
  const bar = element("div", { class: "shares", "aria-hidden": "true" });
  const lines = [];
  PARTS.forEach(([name, of], n) => {
    const kwh = sum(shares.filter(of), "kwh");
    if (!(kwh > 0)) return;
    const piece = element("span", { class: `c${n}` });
    piece.style.flexGrow = String(kwh / whole);
    bar.append(piece);
    lines.push([t(`pools.part.${name}`), percent(kwh / whole), `c${n}`]);
  });
  return [bar, pairs(lines)];
}

function figures(caption, list) {
  const whole = sum(list, "kwh");
  const columns = [
    ["pool", (row) => called(row.pool)],
    ["energy", (row) => figure(row.kwh, "kWh")],
    ["interval.name", (row) => between(row, "kwh", "kWh")],
    ["pools.share", (row) => percent(row.kwh / whole)],
    ["cost", (row) => figure(row.eur, "€")],
    ["carbon", (row) => figure(row.kgco2e, "kgCO2e")],
    ["pools.hours", (row) => shown(row.active_hours, "h")],
    ["pools.hour", (row) => shown(row.wh_per_active_hour, "Wh")],
    ["pools.hour.interval", (row) => between(row, "wh_per_active_hour", "Wh")],
  ];
  const ordered = [...list].sort((a, b) => rank(a.pool) - rank(b.pool) || b.kwh - a.kwh);
  return table(caption, columns.map(([key]) => t(key)), ordered.map((row) => columns.map(([, of]) => of(row))));
}

// `asked` asks for the rows of a path, null where the reader or the collector knows no pools.
export async function pools(asked, mine) {
  const [found, shares] = asked ? (await Promise.all([asked("pools"), asked("shares")])).map((of) => mine(of.rows)) : [[], []];
  document.getElementById("pools-section").hidden = found.length === 0;
  const policies = [...new Set(found.map((row) => row.policy))].sort();
  const parts = policies.flatMap((policy) => {
    const by = (list) => list.filter((row) => row.policy === policy);
    const name = t(`pools.policy.${policy}`);
    const head = policies.length > 1 ? element("h3", {}, name) : null;
    return [head, ...split(by(shares)), figures([t("pools.title"), name].join(", "), by(found))];
  });
  const text = ["pools.how", ...policies.map((policy) => `pools.how.${policy}`), "pools.how.hour"].map((key) => t(key)).join(" ");
  fill("pools", ...parts, parts.length ? how("pools", text) : null);
}
