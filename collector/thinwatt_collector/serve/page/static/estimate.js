// What the inventory adds to what agents told: the energy of machines without an agent, all of it assumed. Pure.
//
// A group of /estimate is told for a year. Of it, machines without an agent count for all of a window; those with one
// for the days before their class was first heard with so many devices. What is told and what is assumed never overlap.

const HOUR = 3600000;
const DAY = 24 * HOUR;
const YEAR = 8760;
const OTHER = "other";

// The groups, and what is in none of them (fewer than five endpoints in all), with the width of the whole's interval.
function groups(estimate) {
  const { energy } = estimate;
  const left = { class: OTHER, devices: estimate.devices, with_agent: estimate.agents, kwh: energy.kwh };
  for (const group of estimate.groups) for (const of of ["devices", "with_agent", "kwh"]) left[of] -= group[of];
  const whole = energy.kwh > 0 ? [energy.kwh_low / energy.kwh, energy.kwh_high / energy.kwh] : [1, 1];
  const rest = { ...left, kwh_low: left.kwh * whole[0], kwh_high: left.kwh * whole[1] };
  return left.devices > 0 && left.kwh > energy.kwh * 1e-9 ? [...estimate.groups, rest] : estimate.groups;
}

// The part of a window in which the machines of a class that have an agent now had none: 0 to 1.
function unheard(name, connected, days, begin, end) {
  if (!connected || name === OTHER) return 0;
  const most = new Map();
  for (const row of days) if (row.class === name && row.devices !== null) most.set(row.begin.slice(0, 10), row.devices);
  const known = [...most].sort();
  let [missing, hours, heard, next] = [0, 0, 0, 0];
  for (let at = begin.getTime(); at < end.getTime(); at += DAY) {
    const day = new Date(at).toISOString().slice(0, 10);
    for (; next < known.length && known[next][0] <= day; next += 1) heard = Math.max(heard, known[next][1]);
    const length = Math.min(at + DAY, end.getTime()) - at;
    missing += length * Math.max(0, 1 - heard / connected);
    hours += length;
  }
  return hours ? missing / hours : 0;
}

// A year's energy, carbon and euros of machines without an agent, and of a part of those that have one now.
function yearly(estimate, partOf) {
  const sums = { kwh: 0, below: 0, above: 0, allBelow: 0, allAbove: 0 };
  for (const of of groups(estimate)) {
    const share = of.devices ? (of.devices - of.with_agent + of.with_agent * partOf(of.class)) / of.devices : 0;
    const [below, above] = [of.kwh - of.kwh_low, of.kwh_high - of.kwh];
    sums.kwh += share * of.kwh;
    sums.below += share * below;
    sums.above += share * above;
    sums.allBelow += below;
    sums.allAbove += above;
  }
  // The interval of the whole is narrower than those of its groups added up; so is that of a part of it.
  const { energy, carbon, price } = estimate;
  const below = sums.allBelow > 0 ? (sums.below / sums.allBelow) * (energy.kwh - energy.kwh_low) : 0;
  const above = sums.allAbove > 0 ? (sums.above / sums.allAbove) * (energy.kwh_high - energy.kwh) : 0;
  const like = (of, name) => {
    if (!of) return { [name]: null, [`${name}_low`]: null, [`${name}_high`]: null };
    const wide = (side, ends) => (ends > 0 ? side / ends : 0);
    const middle = (of[name] * sums.kwh) / energy.kwh / (of.share_priced || 1);
    const low = middle - (of[name] - of[`${name}_low`]) * wide(below, energy.kwh - energy.kwh_low);
    const high = middle + (of[`${name}_high`] - of[name]) * wide(above, energy.kwh_high - energy.kwh);
    return { [name]: middle, [`${name}_low`]: Math.max(low, 0), [`${name}_high`]: high };
  };
  return { ...like(energy, "kwh"), ...like(carbon, "kgco2e"), ...like(price?.share_priced > 0 ? price : null, "eur") };
}

const times = (amounts, part) => Object.fromEntries(Object.entries(amounts).map(([name, x]) => [name, x === null ? null : x * part]));

// Energy, carbon and euros of machines without an agent between two local times, with their interval; null: no estimate.
export function untold(estimate, days, begin, end) {
  if (!estimate || !(estimate.energy.kwh > 0) || end <= begin) return null;
  const connected = new Map();
  for (const of of groups(estimate)) connected.set(of.class, (connected.get(of.class) ?? 0) + of.with_agent);
  const late = new Map([...connected].map(([name, n]) => [name, unheard(name, n, days, begin, end)]));
  return times(yearly(estimate, (name) => late.get(name)), (end - begin) / HOUR / YEAR);
}

// What agents told and what is assumed of the others, added up: low with low and high with high, which is rather wide.
export function added(told, rest) {
  if (!rest) return told;
  const sum = (name) => {
    if (rest[name] === null) return null;
    if (!told) return rest[name];
    return told[name] === null ? null : told[name] + rest[name];
  };
  const names = ["kwh", "eur", "kgco2e"].flatMap((name) => [name, `${name}_low`, `${name}_high`]);
  return Object.fromEntries(names.map((name) => [name, sum(name)]));
}

// Mean power of machines without an agent [W]: of all with its interval, and by class; null: no estimate.
export function power(estimate) {
  if (!estimate || !(estimate.energy.kwh > 0)) return null;
  const { kwh, kwh_low: low, kwh_high: high } = yearly(estimate, () => 0);
  const all = times({ watts: kwh, watts_low: low, watts_high: high }, 1000 / YEAR);
  const byClass = new Map();
  for (const of of groups(estimate)) {
    const watts = of.devices ? (of.kwh * (of.devices - of.with_agent) * 1000) / of.devices / YEAR : 0;
    if (watts > 0) byClass.set(of.class, (byClass.get(of.class) ?? 0) + watts);
  }
  return { ...all, byClass };
}
