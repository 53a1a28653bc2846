// Questions to /api/v1. A part that is not there (404) is null; a busy collector (503) is asked again.

const KEPT = "thinwatt-token";

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? String(status));
    this.status = status;
    this.remedy = problem?.remedy ?? "";
  }
}

export function token() {
  return sessionStorage.getItem(KEPT);
}

export function setToken(text) {
  if (text) sessionStorage.setItem(KEPT, text);
  else sessionStorage.removeItem(KEPT);
}

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  const shown = token();
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(`/api/v1/${path}${query.size ? `?${query}` : ""}`, {
      headers: shown ? { "X-Thinwatt-Token": shown } : {},
      cache: "no-store",
    });
    if (answer.ok) return answer.json();
    if (answer.status === 404) return null;
    if (answer.status === 503 && attempt < 3) {
      await new Promise((done) => setTimeout(done, 1000 * (Number(answer.headers.get("retry-after")) || 5)));
      continue;
    }
    throw new ApiError(answer.status, await answer.json().catch(() => null));
  }
}

// All rows of a question, page after page.
export async function rows(path, parameters) {
  const found = await ask(path, { limit: 10000, ...parameters });
  let page = found;
  while (page?.next) {
    page = await ask(path, { limit: 10000, ...parameters, cursor: page.next });
    found.rows.push(...page.rows);
  }
  return found;
}
