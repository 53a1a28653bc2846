// Why earlier figures changed: newer emission factors and power models, in words, newest first.

import { ask } from "/page/api.js";
import { element, fill } from "/page/parts.js";
import { current, moment, t } from "/page/words.js";

const KINDS = ["restated", "calibrated"];
const DAY = { day: "numeric", month: "long", year: "numeric" };

function change(event, zone) {
  const day = element("time", { datetime: event.at }, moment(event.at, DAY, zone));
  const name = element("strong", {}, t(`changes.${event.kind}`));
  if (!event.text) return element("li", {}, day, " · ", name);
  const [first, ...rest] = event.text[current()].split("\n");
  const more = rest.length
    ? element("details", { class: "how", "data-key": `change-${event.at}` }, element("summary", {}, t("changes.more")), ...rest.map((line) => element("p", {}, line)))
    : null;
  return element("li", {}, day, " · ", name, element("p", {}, first), more);
}

export async function changes(there, zone) {
  const all = there ? (await ask("events", { limit: 100 })).events : [];
  const list = all.filter((event) => KINDS.includes(event.kind));
  document.getElementById("changes-section").hidden = list.length === 0;
  if (!list.length) return fill("changes");
  const shown = element("ul", { class: "changes" }, ...list.slice(0, 10).map((event) => change(event, zone)));
  const about = element("p", { class: "muted" }, t(list.some((event) => event.text) ? "changes.about" : "changes.token"));
  return fill("changes", about, shown);
}
