// The page: asks /api/v1, shows what it answers, again every minute.

import { advice } from "/page/advice.js";
import { ApiError, ask, rows, setToken, token } from "/page/api.js";
import { changes } from "/page/changes.js";
import { stacked, week } from "/page/charts.js";
import { cycle } from "/page/cycle.js";
import { untold } from "/page/estimate.js";
import { agents, certain, power, sum, tiles } from "/page/glance.js";
import { element, fill, how, table } from "/page/parts.js";
import { places } from "/page/places.js";
import { pools } from "/page/pools.js";
import { back, periods, quarter, local, written } from "/page/times.js";
import { current, moment, named, number, percent, preferred, t, take } from "/page/words.js";

const EVERY = 60000;
const HOUR = 3600000;
const DAY = 24 * HOUR;
const QUARTER = HOUR / 4;
let simulated = null;
let zone = "UTC";
let running = false;
let again = false;

const mine = (list) => list.filter((row) => String(row.simulated) === simulated);

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

function health(found, fleet, listed) {
  const list = mine(found.rows);
  const classes = [...new Set(list.map((row) => row.class))].sort();
  const lines = classes.map((name) => {
    const of = list.filter((row) => row.class === name && !row.withheld);
    const [covered, gap] = [sum(of, "covered_seconds"), sum(of, "gap_seconds")];
    return [named("class", name), covered + gap > 0 ? percent(covered / (covered + gap), 1) : t("unknown"), `${number(gap / 3600)}\u202fh`];
  });
  const parts = [];
  if (fleet.agents) parts.push(element("p", {}, agents(mine(fleet.agents))));
  if (listed) {
    const rowsOf = listed.agents.filter((a) => String(a.simulated ?? false) === simulated).map((a) => [a.agent, moment(a.last_seen, { dateStyle: "short", timeStyle: "short" }, zone), a.version ?? t("unknown")]);
    parts.push(element("details", { class: "how", "data-key": "agents" }, element("summary", {}, t("agents.list")), table(t("agents.list"), [t("agent"), t("agent.seen"), t("agent.version")], rowsOf)));
  }
  parts.push(lines.length ? table(t("health.title"), [t("class"), t("coverage"), t("gap")], lines) : element("p", { class: "muted" }, t("nothing")));
  fill("health", ...parts, how("health", t("health.how")));
}

const SECOND = { hour: "2-digit", minute: "2-digit" };

// How the hours of the last day are labelled; the one that is not over says until when it goes.
function hours() {
  // The last part of a day of endpoints is told two hours after its end.
  const open = (end) => end.slice(11, 16) === "00:00" && Date.now() - new Date(end) < 2.25 * HOUR && !token();
  const part = (begin, end) => new Date(end) - new Date(begin) < HOUR || open(end);
  const short = (begin) => moment(begin, SECOND, zone);
  const long = (begin, end) => [moment(begin, { weekday: "short", ...SECOND }, zone), ...(new Date(end) - new Date(begin) < HOUR ? [moment(end, SECOND, zone)] : [])].join("–");
  return { short, long, part };
}

function months(until) {
  const part = (_, end) => written(new Date(`${end.slice(0, 16)}Z`)) === written(until);
  const short = (begin) => moment(begin, { month: "short", year: "2-digit" }, zone);
  const long = (begin, end) => (part(begin, end) ? t("until", { month: short(begin), day: moment(end, { day: "numeric", month: "long" }, zone) }) : short(begin));
  return { short, long, part };
}

// Without anything told the charts would be empty: a sentence stands for them, and what to measure next is above it.
// What is of fewer than five endpoints nobody sees without a token: then it says so, and how to get one.
function arranged(told, estimate, few) {
  document.getElementById("start").hidden = told || few || Boolean(estimate);
  document.getElementById("few").hidden = !few;
  document.getElementById("now").hidden = !told && !estimate;
  document.getElementById("later").hidden = told || few || !estimate;
  for (const id of ["day", "year", "week", "health"]) document.getElementById(`${id}-section`).hidden = !told;
  document.getElementById("kind-estimate").hidden = told || !estimate;
  document.getElementById("kind-estimate").textContent = t(few || token() ? "kind.estimate.few" : "kind.estimate");
  const before = told ? "health-section" : "later";
  const section = document.getElementById("advice-section");
  if (section.nextElementSibling?.id !== before) document.getElementById(before).before(section);
}

const hour = (date) => new Date(Math.floor(date / HOUR) * HOUR);

// Until when all is told: the last half hour of endpoints, and what it hangs together with, has only the role technical.
const settled = (now) => new Date(now - (token() ? QUARTER : HOUR));

async function charts(span, now) {
  const end = settled(now);
  const begin = new Date(hour(end) - DAY);
  const asked = async (from, to, grain) => {
    const [list, whole] = await Promise.all([span(from, to, grain, "class"), span(from, to, grain, "")]);
    return { list: mine(list.rows), whole: mine(whole.rows) };
  };
  stacked("day", t("day.title"), await asked(begin, end, "hour"), "kW", (row, name) => row[name] / ((new Date(row.end) - new Date(row.begin)) / HOUR), hours());
  const far = back(zone, { months: 11 });
  stacked("year", t("year.title"), await asked(far, now, "month"), "kWh", (row, name) => row[name], months(now));
  week(mine((await span(new Date(hour(end) - 28 * DAY), hour(end), "hour", "")).rows));
}

// Why nothing new is booked, at once: the questions below wait for a while before they give up.
function trouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text;
  place.hidden = !text;
}

async function show() {
  const fleet = await ask("fleet");
  const since = fleet.at && moment(fleet.at, { dateStyle: "short", timeStyle: "short" });
  const failing = fleet.trouble ? t("trouble.ledger", { text: fleet.trouble, time: since }) : "";
  trouble(failing);
  const first = await ask("energy", { by: "" });
  zone = first.zone;
  // What machines draw, and what their rooms need for them (PUE): as the year's estimate has it.
  const span = (begin, end, grain, by, more = {}) => rows("energy", { begin: written(begin), end: written(end), grain, by, zone, boundary: "room", ...more });
  const [today, thisMonth, thisYear] = periods(zone);
  const now = quarter(local(zone));
  const month = await span(thisMonth.begin, now > thisMonth.begin ? now : new Date(now.getTime() + QUARTER), "month", "basis");
  kind(fleet, month);
  // What this collector's API has: an older one knows no places and no estimate.
  const known = await ask("openapi.json");
  const knows = (name) => Object.keys(known.paths).some((path) => path.endsWith(`/${name}`));
  const me = knows("me") ? await ask("me") : {};
  const found = me.inventory ? await ask("estimate") : null;
  const estimate = found && String(Boolean(found.simulated)) === simulated ? found : null;
  const told = mine(fleet.classes).some((row) => row.devices || row.share) || mine(month.rows).length > 0;
  arranged(told, estimate, !told && Boolean(fleet.since) && me.role === "public");
  const days = await span(new Date(thisYear.begin - 31 * DAY), hour(settled(now)), "day", "class");
  power(fleet, mine, estimate);
  certain(month, mine, estimate, untold(estimate, mine(days.rows), thisMonth.begin, now));
  await tiles([today, thisMonth, thisYear], span, days, mine, estimate, hour(settled(now)));
  advice(estimate);
  if (told) {
    await charts(span, now);
    health(await rows("coverage", { begin: written(back(zone, { days: 7 })), end: written(now), grain: "day", zone }), fleet, token() ? await ask("agents", { limit: 1000 }).catch(() => null) : null);
  }
  const by = known.paths["/api/v1/energy"] ?? known.paths["/energy"];
  const placed = told && JSON.stringify(by).includes("building") && now > thisMonth.begin;
  await places(placed ? (begin, end, levels, where = {}) => span(begin, end, "month", levels, where) : null, mine, thisMonth.begin, now);
  const carried = told && me.role === "technical" && knows("pools") && now > thisMonth.begin;
  const ofMonth = { begin: written(thisMonth.begin), end: written(now), grain: "month", zone, boundary: "room" };
  await pools(carried ? (path) => rows(path, ofMonth) : null, mine);
  // Of the inventory's machines this year: a first day of January has no day behind it yet.
  const year = { begin: written(thisYear.begin).slice(0, 10), end: written(now).slice(0, 10) };
  const cycles = told && estimate && knows("indicators") && knows("making") && year.end > year.begin;
  await cycle(...(cycles ? await Promise.all([ask("indicators", year), ask("making", { ...year, by: "class" })]) : [null, null]));
  await changes(knows("events"), zone);
  document.getElementById("foot").textContent = t("foot", { version: known.info.version });
  document.getElementById("updated").textContent = t("updated", { time: moment(new Date().toISOString(), { dateStyle: "long", timeStyle: "short" }, zone), zone });
}

// A problem that a person can mend is told; that the ledger fails, and why, stands there already.
function refused(error) {
  if (error instanceof ApiError && error.status === 401) return trouble(t("trouble.token"));
  const told = error instanceof ApiError && error.status === 503 && !document.getElementById("trouble").hidden;
  if (!told) trouble(t("trouble", { text: `${error.message} ${error.remedy ?? ""}` }));
}

async function refresh() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    await show();
    document.documentElement.dataset.ready = current();
    document.documentElement.dataset.shows = simulated;
  } catch (error) {
    refused(error);
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
