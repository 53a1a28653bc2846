// The page: asks /api/v1, shows what it answers, again every minute.

import { ApiError, ask, rows, setToken, token } from "/page/api.js";
import { chart, colour, element, fill, how, interval, table } from "/page/parts.js";
import { places } from "/page/places.js";
import { back, periods, written } from "/page/times.js";
import { current, figure, moment, named, number, percent, preferred, rounded, signed, t, take } from "/page/words.js";

const EVERY = 60000;
const HOUR = 3600000;
const DAY = 24 * HOUR;
let simulated = null;
let zone = "UTC";
let running = false;
let again = false;

const sum = (list, of) => list.reduce((total, row) => total + (row[of] ?? 0), 0);
const mine = (list) => list.filter((row) => String(row.simulated) === simulated);
const shown = (text) => named("class", text);

// The total of some rows; null where a row of it is not shown.
function total(list, of) {
  return list.length && list.every((row) => row[of] !== null && row[of] !== undefined) ? sum(list, of) : null;
}

// Without a token the last hour of endpoints is missing; what is compared ends as much earlier.
const lag = (period) => (!token() && period.end - period.begin > 2 * HOUR ? HOUR : 0);

function kind(fleet, month) {
  const count = { true: 0, false: 0 };
  for (const row of month.rows) count[row.simulated] = Math.max(count[row.simulated], row.devices ?? 1);
  for (const row of fleet.classes) count[row.simulated] = Math.max(count[row.simulated], row.devices ?? 1);
  const both = count.true > 0 && count.false > 0;
  if (simulated === null || !both) simulated = String(count.true > count.false);
  document.getElementById("kind").hidden = count.true === 0;
  document.getElementById("kind-switch").hidden = !both;
  const mark = document.getElementById("kind-mark");
  mark.textContent = t(simulated === "true" ? "kind.mark" : "kind.apart");
  mark.classList.toggle("made-up", simulated === "true");
  for (const button of document.querySelectorAll("[data-simulated]")) button.setAttribute("aria-pressed", String(button.dataset.simulated === simulated));
}

function power(fleet) {
  const classes = mine(fleet.classes).filter((row) => row.watts !== null && row.watts !== undefined);
  const parts = [element("p", { class: "name" }, t("power"))];
  if (classes.length) {
    parts.push(element("p", { class: "big", id: "power-now" }, figure(sum(classes, "watts"), "W")));
    parts.push(element("dl", { class: "pairs" }, ...classes.flatMap((row) => [element("dt", {}, shown(row.class)), element("dd", {}, figure(row.watts, "W"))])));
  } else parts.push(element("p", { class: "big dim" }, t("unknown")), element("p", { class: "muted" }, t("power.none")));
  if (fleet.agents) parts.push(element("p", {}, t("agents", { n: fleet.agents.known, silent: number(fleet.agents.silent) })));
  fill("power", ...parts, how("power", t("power.how")));
}

function certain(month) {
  const bases = ["measured", "modelled", "assumed", "mixed"];
  const list = mine(month.rows).filter((row) => row.kwh !== null);
  const all = sum(list, "kwh");
  const parts = [element("p", { class: "name" }, t("basis.title"))];
  if (all > 0) {
    const bar = element("div", { class: "shares", "aria-hidden": "true" });
    const pairs = element("dl", { class: "pairs" });
    for (const basis of bases) {
      const part = sum(list.filter((row) => row.basis === basis), "kwh") / all;
      if (part === 0) continue;
      const piece = element("span", { class: basis });
      piece.style.flexGrow = String(part);
      bar.append(piece);
      pairs.append(element("dt", { class: `dot ${basis}` }, t(`basis.${basis}`)), element("dd", {}, percent(part)));
    }
    parts.push(bar, pairs);
  } else parts.push(element("p", { class: "muted" }, t("nothing")));
  fill("certain", ...parts, how("basis", t("basis.how")));
}

// The rows of last year begin a day before what is compared: only where that day has some is the part known whole.
function compared(period, now, then) {
  const first = written(period.then[0]).slice(0, 10);
  const day = moment(`${first}T00:00:00Z`, { day: "numeric", month: "long", year: "numeric" }, "UTC");
  const before = total(then.filter((row) => row.begin.slice(0, 10) >= first), "kwh");
  const whole = then.length > 0 && then[0].begin.slice(0, 10) < first;
  if (!whole || !before || now === null) return element("p", { class: "muted" }, t("then.none", { day }));
  return element("p", {}, element("strong", {}, signed(now / before - 1)), ` ${t(`then.${period.name}`, { day, energy: figure(before, "kWh") })}`);
}

function card(period, found, then) {
  const list = mine(found.rows);
  const [kwh, low, high] = ["kwh", "kwh_low", "kwh_high"].map((name) => total(list, name));
  const eur = total(list, "eur");
  const kg = total(list, "kgco2e");
  const factors = [...new Set(found.carbon.factors.map((f) => t("factor", { name: f.name, vintage: f.vintage, grams: rounded(f.kg_per_kwh * 1000) })))];
  const parts = [
    element("h3", {}, t(`period.${period.name}`)),
    element("p", { class: "big", id: `kwh-${period.name}`, "data-kwh": kwh }, figure(kwh, "kWh")),
    interval(low, high, "kWh"),
    element("dl", { class: "pairs" },
      ...(eur === null ? [] : [element("dt", {}, t("cost")), element("dd", {}, figure(eur, "€"))]),
      element("dt", {}, t("carbon")), element("dd", {}, figure(kg, "kgCO2e")),
      element("dt", {}, t("carbon.interval")), element("dd", {}, kg === null ? t("unknown") : `${rounded(total(list, "kgco2e_low"))} – ${figure(total(list, "kgco2e_high"), "kgCO2e")}`)),
    compared(period, kwh, mine(then?.rows ?? [])),
    how(`period-${period.name}`, [t("period.how"), t(`period.how.${period.name}`), factors.join(" "), eur === null ? t("cost.none") : t("cost.how")].join(" ")),
  ];
  return element("article", { class: "card" }, ...parts);
}

function axes(times, unit) {
  const line = { lineStyle: { color: colour("line") } };
  const text = { color: colour("muted") };
  return {
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 8, right: 16, top: 64, bottom: 8, containLabel: true },
    legend: { top: 0, left: 0, type: "scroll", textStyle: text, pageTextStyle: text },
    tooltip: { trigger: "axis", renderMode: "richText", backgroundColor: colour("card"), borderColor: colour("line"), textStyle: { color: colour("ink") }, valueFormatter: (x) => (x === null || x === undefined || x === "-" ? "–" : `${rounded(Number(x))} ${unit}`) },
    xAxis: { type: "category", data: times, axisLine: line, axisLabel: { ...text, hideOverlap: true } },
    yAxis: { type: "value", name: unit, nameTextStyle: { ...text, align: "left" }, axisLabel: { ...text, formatter: (x) => rounded(x) }, splitLine: line },
  };
}

// Stacked by class, the interval of the whole as a band of two dashed lines.
function stacked(id, title, byClass, whole, unit, of, label) {
  const list = mine(byClass.rows);
  const sums = new Map(mine(whole.rows).map((row) => [row.begin, row]));
  const begins = [...new Set([...list, ...sums.values()].map((row) => row.begin))].sort();
  const classes = [...new Set(list.map((row) => row.class))].sort();
  const at = new Map(list.map((row) => [`${row.begin} ${row.class}`, row]));
  const drawn = (row, name) => (row && row[name] !== null ? of(row, name) : null);
  const times = begins.map(label);
  const bars = classes.map((name, n) => ({ name: shown(name), type: "bar", stack: "all", barCategoryGap: "18%", itemStyle: { color: colour(`class-${n % 5}`) }, data: begins.map((begin) => drawn(at.get(`${begin} ${name}`), "kwh")) }));
  const bounds = ["kwh_low", "kwh_high"].map((name) => ({ name: t(name), type: "line", step: "middle", symbol: "none", lineStyle: { color: colour("ink"), width: 1.5, type: name === "kwh_low" ? "dotted" : "dashed" }, itemStyle: { color: colour("ink") }, data: begins.map((begin) => drawn(sums.get(begin), name)) }));
  const cell = (x) => (x === null ? "–" : rounded(x));
  const lines = begins.map((begin, n) => [times[n], ...classes.map((name) => cell(drawn(at.get(`${begin} ${name}`), "kwh"))), ...["kwh", "kwh_low", "kwh_high"].map((name) => cell(drawn(sums.get(begin), name)))]);
  const heads = [t("time"), ...classes.map((name) => `${shown(name)} (${unit})`), ...["kwh", "kwh_low", "kwh_high"].map((name) => `${t(name)} (${unit})`)];
  chart(id, id, title, { ...axes(times, unit), series: [...bars, ...bounds] }, table(title, heads, lines));
}

function week(found) {
  const cells = new Map();
  for (const row of mine(found.rows)) {
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
  const text = { color: colour("muted") };
  const option = {
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 8, right: 8, top: 8, bottom: 72, containLabel: true },
    tooltip: { renderMode: "richText", backgroundColor: colour("card"), borderColor: colour("line"), textStyle: { color: colour("ink") }, formatter: ({ data }) => `${days[data[1]]} ${hours[data[0]]} · ${rounded(data[2])} kW` },
    xAxis: { type: "category", data: hours, axisLabel: { ...text, hideOverlap: true }, axisLine: { show: false }, axisTick: { show: false } },
    yAxis: { type: "category", data: days, inverse: true, axisLabel: text, axisLine: { show: false }, axisTick: { show: false } },
    visualMap: { min: 0, max: Math.max(...all, 0.001), calculable: false, orient: "horizontal", left: "center", bottom: 0, text: [`${rounded(Math.max(...all, 0))} kW`, "0 kW"], textStyle: text, inRange: { color: [0, 1, 2, 3].map((n) => colour(`heat-${n}`)) } },
    series: [{ type: "heatmap", data: all.flatMap((x, n) => (x === null ? [] : [[n % 24, Math.floor(n / 24), x]])), itemStyle: { borderColor: colour("card"), borderWidth: 2, borderRadius: 4 } }],
  };
  const lines = days.map((day, d) => [day, ...hours.map((_, h) => (all[d * 24 + h] === null ? "–" : rounded(all[d * 24 + h])))]);
  chart("week", "week", t("week.title"), option, table(`${t("week.title")} (kW)`, [t("time"), ...hours], lines));
}

function health(found, fleet, listed) {
  const list = mine(found.rows);
  const classes = [...new Set(list.map((row) => row.class))].sort();
  const lines = classes.map((name) => {
    const of = list.filter((row) => row.class === name && !row.withheld);
    const [covered, gap] = [sum(of, "covered_seconds"), sum(of, "gap_seconds")];
    return [shown(name), covered + gap > 0 ? percent(covered / (covered + gap), 1) : t("unknown"), `${number(gap / 3600)}\u202fh`];
  });
  const parts = [];
  if (fleet.agents) parts.push(element("p", {}, t("agents", { n: fleet.agents.known, silent: number(fleet.agents.silent) })));
  if (listed) {
    const rowsOf = listed.agents.map((a) => [a.agent, moment(a.last_seen, { dateStyle: "short", timeStyle: "short" }, zone), a.version ?? t("unknown")]);
    parts.push(element("details", { class: "how", "data-key": "agents" }, element("summary", {}, t("agents.list")), table(t("agents.list"), [t("agent"), t("agent.seen"), t("agent.version")], rowsOf)));
  }
  parts.push(lines.length ? table(t("health.title"), [t("class"), t("coverage"), t("gap")], lines) : element("p", { class: "muted" }, t("nothing")));
  fill("health", ...parts, how("health", t("health.how")));
}

function advice(estimate) {
  document.getElementById("advice-section").hidden = !estimate;
  if (!estimate) return;
  const lines = estimate.advice.slice(0, 10).map((row) => [
    [row.site, row.building, row.room].filter(Boolean).join(" · ") || t("place.none"), shown(row.class), row.model, number(row.devices), figure(row.kwh_removed, "kWh"), percent(row.share_removed, 1),
  ]);
  const heads = ["place", "class", "model", "devices", "removed", "share"].map((key) => t(key));
  fill("advice", element("p", {}, t("advice.year", { energy: figure(estimate.energy.kwh, "kWh"), low: figure(estimate.energy.kwh_low, "kWh"), high: figure(estimate.energy.kwh_high, "kWh"), devices: number(estimate.devices), agents: number(estimate.agents) })),
    table(t("advice.title"), heads, lines), how("advice", t("advice.how")));
}

async function show() {
  const fleet = await ask("fleet");
  const first = await ask("energy", { by: "" });
  zone = first.zone;
  const span = (begin, end, grain, by, more = {}) => rows("energy", { begin: written(begin), end: written(end), grain, by, zone, ...more });
  const [today, thisMonth, thisYear] = periods(zone);
  const month = await span(thisMonth.begin, thisMonth.end, "month", "basis");
  kind(fleet, month);
  power(fleet);
  certain(month);
  const cards = [];
  for (const period of [today, thisMonth, thisYear]) {
    if (period.end <= period.begin) continue; // the first minutes of a day
    const [found, then] = await Promise.all([span(period.begin, period.end, period.grain, ""), span(new Date(period.then[0] - DAY), new Date(period.then[1] - lag(period)), "day", "")]);
    cards.push(card(period, found, then));
  }
  fill("periods", ...cards);
  const hour = (date) => new Date(Math.floor(date / HOUR) * HOUR);
  const [begin, end] = [hour(back(zone, { days: 1 })), hour(today.end - (token() ? 0 : HOUR))];
  stacked("day", t("day.title"), await span(begin, end, "hour", "class"), await span(begin, end, "hour", ""), "kW",
    (row, name) => row[name] / ((new Date(row.end) - new Date(row.begin)) / HOUR), (at) => moment(at, { hour: "2-digit", minute: "2-digit" }, zone));
  const far = back(zone, { months: 11 });
  stacked("year", t("year.title"), await span(far, today.end, "month", "class"), await span(far, today.end, "month", ""), "kWh",
    (row, name) => row[name], (at) => moment(at, { month: "short", year: "2-digit" }, zone));
  week(await span(hour(back(zone, { days: 28 })), end, "hour", ""));
  health(await rows("coverage", { begin: written(back(zone, { days: 7 })), end: written(today.end), grain: "day", zone }), fleet, token() ? await ask("agents", { limit: 1000 }).catch(() => null) : null);
  // What this collector's API has: an older one knows no places and no estimate.
  const known = await ask("openapi.json");
  const by = known.paths["/api/v1/energy"] ?? known.paths["/energy"];
  await places(JSON.stringify(by).includes("building") ? (levels, where = {}) => span(thisMonth.begin, thisMonth.end, "month", levels, where) : null, mine);
  const hasInventory = Object.keys(known.paths).some((path) => path.endsWith("/me")) && (await ask("me")).inventory;
  advice(hasInventory ? await ask("estimate") : null);
  document.getElementById("foot").textContent = t("foot", { version: known.info.version });
  document.getElementById("updated").textContent = t("updated", { time: moment(new Date().toISOString(), { dateStyle: "long", timeStyle: "short" }, zone), zone });
}

async function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  const trouble = document.getElementById("trouble");
  try {
    await show();
    trouble.hidden = true;
    document.documentElement.dataset.ready = current();
    document.documentElement.dataset.shows = simulated;
  } catch (error) {
    const refused = error instanceof ApiError && error.status === 401;
    trouble.textContent = refused ? t("trouble.token") : t("trouble", { text: `${error.message} ${error.remedy ?? ""}` });
    trouble.hidden = false;
  } finally {
    running = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

function listen() {
  document.getElementById("languages").addEventListener("click", async (event) => {
    const chosen = event.target.closest("[data-language]")?.dataset.language;
    if (!chosen) return;
    await take(chosen, true);
    refresh();
  });
  document.getElementById("kind-switch").addEventListener("click", (event) => {
    simulated = event.target.closest("[data-simulated]")?.dataset.simulated ?? simulated;
    refresh();
  });
  const field = document.getElementById("token");
  const say = (key) => { document.getElementById("token-said").textContent = t(key); };
  document.getElementById("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(field.value.trim());
    field.value = "";
    say("access.used");
    refresh();
  });
  document.getElementById("token-forget").addEventListener("click", () => {
    setToken("");
    say("access.forgotten");
    refresh();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
}

await take(preferred(), false);
listen();
await refresh();
setInterval(() => document.visibilityState === "visible" && refresh(), EVERY);
