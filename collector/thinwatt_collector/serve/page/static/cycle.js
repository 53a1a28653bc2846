// Use and making, this year: kgCO2e of electricity and of making together, by class, an hour of a seat; other criteria and
// equivalences only behind the raw figures.

import { between, element, fill, how, interval, big, pairs, table } from "/page/parts.js";
import { current, figure, named, number, percent, rounded, t } from "/page/words.js";

const KG = "kgCO2e";

// The whole of the machines whose energy is in the ledger; their making is what is left of it without their use.
function whole({ use, total, devices, agents, incomplete }) {
  const making = total.kgco2e - use.kgco2e;
  const bar = element("div", { class: "shares", "aria-hidden": "true" });
  const lines = [["use", use.kgco2e, "c0"], ["making", making, "c1"]].map(([name, kg, dot]) => {
    const piece = element("span", { class: dot });
    piece.style.flexGrow = String(kg / total.kgco2e);
    bar.append(piece);
    return [t(`cycle.${name}`), `${figure(kg, KG)} (${percent(kg / total.kgco2e)})`, dot];
  });
  return [
    big(total.kgco2e, KG, { id: "cycle-total" }),
    interval(total.kgco2e_low, total.kgco2e_high, KG),
    bar,
    pairs(lines),
    incomplete ? element("p", { class: "muted" }, t("cycle.part", { n: agents, of: number(devices) })) : null,
  ];
}

function seat({ seat_hour: of }) {
  if (of.gco2e === null) return of.reason ? element("p", { class: "muted" }, of.reason[current()]) : null;
  const ends = { low: figure(of.gco2e_low, "gCO2e"), high: figure(of.gco2e_high, "gCO2e") };
  return element("p", {}, element("strong", { id: "cycle-seat-hour" }, figure(of.gco2e, "gCO2e")), ` ${t("cycle.seat", { n: of.seats, of: number(of.seats_all), ...ends })}`);
}

function classes(rows) {
  const columns = [
    ["class", (row) => named("class", row.class)],
    ["cycle.devices", (row) => number(row.devices)],
    ["cycle.amortised", (row) => figure(row.amortised_kgco2e, KG)],
    ["interval.name", (row) => between(row, "amortised_kgco2e", KG)],
    ["cycle.purchases", (row) => figure(row.purchases_kgco2e, KG)],
    ["cycle.beyond", (row) => number(row.beyond_lifetime)],
  ];
  const heads = columns.map(([key]) => t(key));
  const lines = [...rows].sort((a, b) => b.amortised_kgco2e - a.amortised_kgco2e).map((row) => columns.map(([, of]) => of(row)));
  return [element("h3", {}, t("cycle.classes")), table(t("cycle.classes"), heads, lines)];
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

// What is known to a few tenths is not told to six digits.
const roughly = (x) => rounded(Number(x.toPrecision(2)));

function more(key, ...content) {
  return element("details", { class: "how", "data-key": key }, element("summary", {}, t(key)), ...content);
}

function annex({ annex: rows, annex_caution: caution }) {
  const lines = rows.map((row) => [t(`cycle.criterion.${row.criterion}`), `${roughly(row.value)}\u202f${row.unit}`, `${roughly(row.value_low)} – ${roughly(row.value_high)}\u202f${row.unit}`]);
  return more("cycle.annex", table(t("cycle.annex"), [t("cycle.criterion"), t("cycle.value"), t("interval.name")], lines), element("p", { class: "muted" }, sentence(caution[current()])));
}

function equivalences({ equivalences: rows }) {
  const lines = rows.map((row) => [row[current()], roughly(row.value), `${roughly(row.value_low)} – ${roughly(row.value_high)}`]);
  return more("cycle.like", table(t("cycle.like"), [t("cycle.like.of"), t("cycle.value"), t("interval.name")], lines));
}

// `indicators` and `making` as the API has them for this year; null where there is none, or nothing is made known.
export function cycle(indicators, making) {
  const there = Boolean(indicators && indicators.total.kgco2e > 0 && making);
  document.getElementById("cycle-section").hidden = !there;
  if (!there) return fill("cycle");
  const told = making.rows.filter((row) => row.amortised_kgco2e !== null);
  fill("cycle", ...whole(indicators), seat(indicators.sci), ...classes(told), annex(indicators), equivalences(indicators), how("cycle", t("cycle.how")));
}
