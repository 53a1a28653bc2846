// Windows of time by the clocks of the collector's place, written as the API takes them (a local time without offset).

const pad = (n) => String(n).padStart(2, "0");

// What the clocks of a zone show at a moment, as a Date whose UTC parts are local.
export function local(zone, at = new Date()) {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" })
      .formatToParts(at)
      .map((part) => [part.type, Number(part.value)]),
  );
  return new Date(Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute));
}

export function written(date) {
  return `${date.getUTCFullYear()}-${pad(date.getUTCMonth() + 1)}-${pad(date.getUTCDate())}T${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
}

export function quarter(date) {
  return new Date(Math.floor(date.getTime() / 900000) * 900000);
}

const day = (year, month, date) => new Date(Date.UTC(year, month, date));

// Today, this month and this year, each with the same part of last year; a day is compared with the same weekday.
export function periods(zone) {
  const now = quarter(local(zone));
  const [year, month, date] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  // The 29th of February is compared with the 28th.
  const then = day(year - 1, month, Math.min(date, new Date(Date.UTC(year - 1, month + 1, 0)).getUTCDate()));
  const clock = now.getTime() - day(year, month, date).getTime();
  const before = new Date(then.getTime() + clock);
  const weekday = new Date(now.getTime() - 364 * 86400000);
  const midnight = new Date(weekday.getTime() - clock);
  return [
    { name: "today", grain: "day", begin: day(year, month, date), end: now, then: [midnight, weekday] },
    { name: "month", grain: "month", begin: day(year, month, 1), end: now, then: [day(year - 1, month, 1), before] },
    { name: "year", grain: "month", begin: day(year, 0, 1), end: now, then: [day(year - 1, 0, 1), before] },
  ];
}

export function back(zone, { days = 0, months = 0 }) {
  const now = quarter(local(zone));
  if (months) return day(now.getUTCFullYear(), now.getUTCMonth() - months, 1);
  return new Date(now.getTime() - days * 86400000);
}
