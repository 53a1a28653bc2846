// Texts in French or English, numbers and dates as they are written there.

const LANGUAGES = ["fr", "en"];
const KEPT = "thinwatt-language";
let messages = {};
let language = "fr";

export function current() {
  return language;
}

export function preferred() {
  const kept = localStorage.getItem(KEPT);
  if (LANGUAGES.includes(kept)) return kept;
  const first = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag));
  return first ?? "en";
}

export async function take(chosen, keep) {
  const answer = await fetch(`/page/${chosen}.json`);
  messages = await answer.json();
  language = chosen;
  if (keep) localStorage.setItem(KEPT, chosen);
  document.documentElement.lang = chosen;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === chosen));
  }
}

// The text of a key, its {names} filled in; a number n chooses key.one or key.other.
export function t(key, given = {}) {
  const plural = "n" in given ? `${key}.${new Intl.PluralRules(language).select(given.n)}` : key;
  const text = messages[plural] ?? messages[`${key}.other`] ?? messages[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (name === "n" ? number(given.n) : String(given[name])));
}

// The name of something that the ledger names: its own text where no catalogue has one.
export function named(kind, text) {
  return messages[`${kind}.${text || "none"}`] ?? text;
}

export function number(x, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(x);
}

// Three significant digits at most below 1,000, whole numbers above.
export function rounded(x) {
  return new Intl.NumberFormat(language, Math.abs(x) < 1000 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 }).format(x);
}

// What is little is not nothing, and what is nearly all is not all: < 1 %, > 99 %.
export function percent(x, digits = 0) {
  const format = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits });
  const least = 10 ** -(digits + 2);
  if (x > 0 && x < least) return `<\u00a0${format.format(least)}`;
  return x < 1 && x > 1 - least ? `>\u00a0${format.format(1 - least)}` : format.format(x);
}

export function signed(x) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0, signDisplay: "exceptZero" }).format(x);
}

// In French the first of a month is "1er".
export function moment(iso, options, zone) {
  const parts = new Intl.DateTimeFormat(language, { timeZone: zone, ...options }).formatToParts(new Date(iso));
  const spelled = language === "fr" && parts.some(({ type, value }) => type === "month" && !/\d/.test(value));
  return parts.map(({ type, value }) => (spelled && type === "day" && value === "1" ? "1er" : value)).join("");
}

// A figure with its unit, as one text that does not break: 12 300 kWh; W become kW or MW, kWh MWh where large.
export function figure(x, unit) {
  if (x === null || x === undefined) return t("unknown");
  const up = { W: ["kW", "MW"], kWh: ["MWh", "GWh"], kgCO2e: ["tCO2e", "ktCO2e"] }[unit] ?? [];
  const steps = [unit, ...up];
  let at = 0;
  while (at + 1 < steps.length && Math.abs(x) >= 10000) {
    x /= 1000;
    at += 1;
  }
  if (unit === "€") return new Intl.NumberFormat(language, { style: "currency", currency: "EUR", maximumFractionDigits: Math.abs(x) < 100 ? 2 : 0 }).format(x);
  return `${rounded(x)}\u202f${steps[at].replace("CO2e", "CO₂e")}`;
}
