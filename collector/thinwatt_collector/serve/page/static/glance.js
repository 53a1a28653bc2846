// At a glance: power now, where the energy's basis is, and today, this month, this year.

import { added, power as assumed, untold } from "/page/estimate.js";
import { big, element, fill, how, interval, pairs } from "/page/parts.js";
import { placeOf } from "/page/advice.js";
import { written } from "/page/times.js";
import { figure, moment, named, number, percent, rounded, signed, t } from "/page/words.js";

const DAY = 86400000;
const WEEK = 7 * DAY;
const BASES = ["measured", "modelled", "assumed", "mixed"];

export const sum = (list, of) => list.reduce((total, row) => total + (row[of] ?? 0), 0);

// The total of some rows; null where a row of it is not shown.
function total(list, of) {
  return list.length && list.every((row) => row[of] !== null && row[of] !== undefined) ? sum(list, of) : null;
}

function all(list) {
  if (!list.length) return null;
  const names = ["kwh", "eur", "kgco2e"].flatMap((name) => [name, `${name}_low`, `${name}_high`]);
  return Object.fromEntries(names.map((name) => [name, total(list, name)]));
}

// How many of the inventory's machines agents tell of.
function heard(estimate) {
  const parts = [t("told.devices", { n: estimate.agents, of: number(estimate.devices) })];
  if (estimate.by_design) parts.push(t("told.design", { n: estimate.by_design }));
  if (estimate.unlisted) parts.push(t("told.unlisted", { n: estimate.unlisted }));
  return parts.join(" ");
}

// How many agents are known, and how many of them are silent.
export const agents = (list) => t("agents", { n: sum(list, "known"), silent: number(sum(list, "silent")) });

export function power(fleet, mine, estimate) {
  const classes = mine(fleet.classes).filter((row) => row.watts !== null && row.watts !== undefined);
  const rest = assumed(estimate);
  const without = rest?.watts > 0 ? [rest] : [];
  const told = classes.length > 0;
  const parts = [element("p", { class: "name" }, t(told || !without.length ? "power" : "power.mean"))];
  if (told || without.length) {
    const summed = [...classes, ...without];
    parts.push(big(sum(summed, "watts"), "W", { id: "power-now" }));
    parts.push(interval(total(summed, "watts_low"), total(summed, "watts_high"), "W"));
    const lines = classes.map((row) => [named("class", row.class), figure(row.watts, "W")]);
    if (told && without.length) lines.push([t("power.rest"), figure(rest.watts, "W")]);
    if (!told) lines.push(...[...rest.byClass].map(([kind, watts]) => [named("class", kind), figure(watts, "W")]));
    parts.push(pairs(lines));
  } else parts.push(element("p", { class: "dim" }, t("unknown")), element("p", { class: "muted" }, t("power.none")));
  if (fleet.agents) parts.push(element("p", {}, agents(mine(fleet.agents))));
  fill("power", ...parts, how("power", [t("power.how"), estimate ? t("power.how.rest") : ""].join(" ")));
}

// The basis of this month's energy, machines without an agent and all; then how sure a year is, and what to do next.
export function certain(month, mine, estimate, rest) {
  const list = mine(month.rows).filter((row) => row.kwh !== null);
  const amounts = BASES.map((basis) => [basis, sum(list.filter((row) => row.basis === basis), "kwh")]);
  if (rest) amounts.push(["untold", rest.kwh]);
  const whole = amounts.reduce((a, [, kwh]) => a + kwh, 0);
  const parts = [element("p", { class: "name" }, t("basis.title"))];
  if (whole > 0) {
    const bar = element("div", { class: "shares", "aria-hidden": "true" });
    const lines = [];
    for (const [basis, kwh] of amounts.filter(([, of]) => of > 0)) {
      const piece = element("span", { class: basis });
      piece.style.flexGrow = String(kwh / whole);
      bar.append(piece);
      lines.push([t(`basis.${basis}`), percent(kwh / whole), basis]);
    }
    parts.push(bar, pairs(lines));
  } else parts.push(element("p", { class: "muted" }, t("nothing")));
  if (estimate) {
    const { energy } = estimate;
    parts.push(element("p", { id: "told" }, heard(estimate)));
    parts.push(element("p", {}, t("year.sure", { energy: figure(energy.kwh, "kWh"), low: figure(energy.kwh_low, "kWh"), high: figure(energy.kwh_high, "kWh") })));
    const next = estimate.advice.find((row) => placeOf(row));
    if (next) parts.push(element("p", {}, element("a", { href: "#advice-section" }, t("advice.first", { n: next.devices, class: named("class.many", next.class), place: placeOf(next), share: percent(next.share_removed, 0) }))));
  }
  fill("certain", ...parts, how("basis", [t("basis.how"), estimate ? t("basis.how.untold") : ""].join(" ")));
}

// Energy now and in the same part of last year; the part of it that the ledger has, where that is a week at least.
function compared(period, now, then, days, until) {
  if (!then) return null;
  const first = written(period.then[0]).slice(0, 10);
  const shown = (iso) => moment(`${iso}T00:00:00Z`, { day: "numeric", month: "long", year: "numeric" }, "UTC");
  const known = then.length ? then[0].begin.slice(0, 10) : null;
  const none = (key, day) => element("p", { class: "muted" }, t(key, { day: shown(day) }));
  const line = (change, key, day, kwh, so) => element("p", {}, element("strong", {}, signed(change)), ` ${t(key, { day: shown(day), time: written(until).slice(11, 16), now: figure(so, "kWh"), energy: figure(kwh, "kWh") })}`);
  if (known === null) return none("then.none", first);
  // The rows of last year begin a day before what is compared: only where that day has some is all of it known.
  if (known < first) {
    const before = total(then.filter((row) => row.begin.slice(0, 10) >= first), "kwh");
    return before > 0 && now !== null ? line(now / before - 1, `then.${period.name}`, first, before, now) : none("then.withheld", first);
  }
  const start = new Date(Date.parse(`${known}T00:00:00Z`) + DAY);
  if (period.name === "today" || period.then[1] - start < WEEK) return none("then.none", first);
  const since = written(start).slice(0, 10);
  const same = `${Number(since.slice(0, 4)) + 1}${since.slice(4)}`;
  const before = total(then.filter((row) => row.begin.slice(0, 10) >= since), "kwh");
  const after = total(days.filter((row) => row.begin.slice(0, 10) >= same), "kwh");
  return before > 0 && after !== null ? line(after / before - 1, "then.part", since, before, after) : none("then.withheld", first);
}

function tile(period, found, same, then, days, mine, estimate, until) {
  const list = mine(found.rows);
  const told = all(list);
  const rest = untold(estimate, mine(days), period.begin, period.end);
  const shown = added(told, rest) ?? {};
  const { eur = null, kgco2e: kg = null } = shown;
  const factors = [...new Set(found.carbon.factors.map((f) => t("factor", { name: f.name, vintage: f.vintage, grams: rounded(f.kg_per_kwh * 1000) })))];
  const both = rest && rest.kwh > 0;
  const mark = { id: `kwh-${period.name}`, "data-kwh": told?.kwh ?? null };
  const lines = [];
  if (both && told) lines.push([t("told.of", { told: number(estimate.agents), of: number(estimate.devices) }), figure(told.kwh, "kWh"), "", mark], [t("told.rest"), figure(rest.kwh, "kWh")]);
  if (eur !== null) lines.push([t("cost"), figure(eur, "€")]);
  lines.push([t("carbon"), figure(kg, "kgCO2e")]);
  if (kg !== null) lines.push([t("carbon.interval"), `${rounded(shown.kgco2e_low)} – ${figure(shown.kgco2e_high, "kgCO2e")}`]);
  const parts = [
    element("h3", {}, t(`period.${period.name}`)),
    big(shown.kwh ?? null, "kWh", both && told ? { id: `whole-${period.name}` } : { ...mark, id: `${told ? "kwh" : "whole"}-${period.name}` }),
    interval(shown.kwh_low ?? null, shown.kwh_high ?? null, "kWh"),
    both && !told ? element("p", { class: "mark-assumed" }, t("told.none")) : null,
    pairs(lines),
    told ? compared(period, total(mine(same?.rows ?? []), "kwh"), then && mine(then.rows), mine(days), until) : null,
    how(`period-${period.name}`, [t("period.how"), both ? t("period.how.rest") : "", t(`period.how.${period.name}`), factors.join(" "), eur === null ? t("cost.none") : t("cost.how")].filter(Boolean).join(" ")),
  ];
  return element("article", { class: "card" }, ...parts);
}

// `days` are this year's, by class; both years are compared up to `until`, an hour until which all is told.
export async function tiles(all, span, days, mine, estimate, until) {
  const made = [];
  for (const period of all) {
    if (period.end <= period.begin) continue; // the first minutes of a day
    const [from, to] = [new Date(period.then[0] - DAY), new Date(period.then[1] - (period.end - until))];
    const [found, same, then] = await Promise.all([
      span(period.begin, period.end, period.grain, ""),
      until > period.begin ? span(period.begin, until, period.grain, "") : null,
      until > period.begin ? span(from, to, "day", "") : null,
    ]);
    made.push(tile(period, found, same, then, days.rows, mine, estimate, until));
  }
  fill("periods", ...made);
}
