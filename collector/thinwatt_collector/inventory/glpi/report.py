"""What an import would do, or did, as a person reads it, and as a program does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from thinwatt_collector.inventory.glpi.lines import OWN
from thinwatt_collector.inventory.glpi.phrases import Language, count, say
from thinwatt_collector.inventory.glpi.plan import KINDS, Change, Plan
from thinwatt_collector.inventory.messages import Problem

SHOWN: Final = 5
"""Examples of each kind."""
BESIDE: Final = ("establishments", "sites", "buildings", "rooms")


def stops(plan: Plan, limit: float, broken: Iterable[Problem], language: Language) -> list[str]:
    """Return what speaks against writing a plan.

    Args:
        plan: what would be written.
        limit: share of the known machines that may be gone [%].
        broken: problems of reading the folder.
        language: of the answer.
    """
    spoilt = [f"{p.file}:{p.line}: {p.what()}" for p in broken if p.file in OWN.values() and p.id in _LOSES]
    spoilt += [
        f"{e.origin.file}:{e.origin.line()}: {Problem('missing', '', 0, 'name', _NAME).what()}" for e in plan.torn
    ]
    found = [say("broken", language, what=what) for what in spoilt]
    if any(what in ("torn", "csv-broken") for what, _ in plan.read.kept_back):
        found.append(say("not-whole", language))
    gone = len(plan.of("gone"))
    if gone > plan.known * limit / 100:
        needed = -(-100 * gone // plan.known)
        found.append(say("too-many-gone", language, gone=gone, known=plan.known, limit=limit, needed=needed))
    if plan.later:
        found.append(say("later", language, n=plan.later, day=plan.day))
    return found


_LOSES: Final = frozenset({"csv-broken", "cells-too-many", "column-double", "encoding", "file-unread"})
_NAME: Final[dict[str, object]] = {"table": "lines"}


def page(plan: Plan, folder: str, mapping: str, language: Language) -> str:
    """Return a plan in words."""
    n = len(plan.read.assets)
    head = say("head", language, source=plan.read.source, n=n, in_use=plan.in_use, folder=folder, day=plan.day)
    classes = Counter(wish.kind for wish in plan.wishes.wished if wish.state == "use")
    counted = ", ".join(f"{kind} {count(n, language)}" for kind, n in sorted(classes.items(), key=_most))
    parts = [[head, *([say("classes", language, what=counted)] if counted else [])], *_changes(plan, language)]
    if added := [say(t, language, n=len(plan.places.added[t])) for t in BESIDE if plan.places.added.get(t)]:
        parts.append([say("added", language, what=", ".join(added))])
    parts += [_models(plan, language), _near(plan, mapping, language), _left(plan, mapping, language)]
    parts.append(_remarks(plan, mapping, language))
    parts.append(_check(plan, language))
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _some(lines: Sequence[str], language: Language, shown: int = SHOWN) -> list[str]:
    rest = len(lines) - shown
    found = [f"  {line}" for line in (lines if rest <= 1 else lines[:shown])]
    return found + ([f"  {say('more', language, n=rest)}"] if rest > 1 else [])


def _changes(plan: Plan, language: Language) -> Iterator[list[str]]:
    for kind in KINDS:
        if found := plan.of(kind):
            title = say(kind, language, n=len(found), day=plan.day)
            yield [title, *_by_column(found, language), *_some([_change(c, language) for c in found], language)]
    if plan.unchanged:
        yield [say("unchanged", language, n=plan.unchanged)]


def _by_column(found: Sequence[Change], language: Language) -> list[str]:
    if found[0].kind != "corrected":
        return []
    counted = Counter(change.column for change in found)
    return ["  " + ", ".join(f"{say(column, language)} {count(n, language)}" for column, n in sorted(counted.items()))]


def _change(change: Change, language: Language) -> str:
    if change.kind in ("new", "back", "replaced"):
        return f"{change.name}{f' → {change.after}' if change.after else ''}"
    if change.kind == "gone":
        return f"{change.name}{f' ({change.before})' if change.before else ''}"
    if change.kind in ("stocked", "scrapped"):
        return f"{change.name}{f': {change.after}' if change.after else ''}"
    if change.kind == "renamed":
        return f"{change.before} → {change.after}"
    column = "" if change.kind == "moved" else f"{say(change.column, language)} "
    where = f"{change.at} " if change.at else ""
    return f"{where}{change.name}: {column}{change.before or '–'} → {change.after}"


def _models(plan: Plan, language: Language) -> list[str]:
    found = sorted(plan.wishes.unknown_models.items(), key=lambda item: (-item[1][1], item[0]))
    if not found:
        return []
    lines = [f"{count(n, language):>6} × {model} ({kind})" for model, (kind, n) in found]
    return [say("unknown-models", language, n=len(found)), *_some(lines, language, 20)]


def _near(plan: Plan, mapping: str, language: Language) -> list[str]:
    if not plan.near:
        return []
    lines = [f"{p.fields['table']}: {say('near-of', language, **p.fields)}" for p in plan.near]
    return [say("near", language, n=len(plan.near), mapping=mapping), *_some(lines, language, 20)]


def _left(plan: Plan, mapping: str, language: Language) -> list[str]:
    left = plan.wishes.left
    stocked = plan.away["stock"] - len(plan.of("stocked"))
    scrapped = plan.away["scrapped"] - len(plan.of("scrapped"))
    total = len(left) + stocked + scrapped
    if not total:
        return []
    lines = [say("left", language, n=total)]
    lines += [
        f"{count(n, language):>6} {say(what, language)}" for what, n in (("stock", stocked), ("scrap", scrapped)) if n
    ]
    for reason, n in sorted(Counter(one.reason for one in left).items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"{count(n, language):>6} {say(reason, language, mapping=mapping)}")
        told = Counter(one.detail or one.asset.where for one in left if one.reason == reason)
        details = [
            f"{f'{count(m, language)} × ' if m > 1 else ''}{what}" for what, m in sorted(told.items(), key=_most)
        ]
        lines += [f"     {line}" for line in _some(details, language)]
    return lines


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _remarks(plan: Plan, mapping: str, language: Language) -> list[str]:
    found = [say(what, language, **_fields(fields, language)) for what, fields in plan.read.kept_back]
    use = [wish for wish in plan.wishes.wished if wish.state == "use"]
    for what, n in (
        ("nowhere", plan.nowhere),
        ("undated", sum(wish.bought is None for wish in use)),
        ("no-serial", sum(not wish.asset.serial for wish in use)),
        ("stood-in", plan.stood_in),
    ):
        if n:
            found.append(say(what, language, n=n))
    for field in sorted({field for field, _ in plan.unread}):
        told = {text: n for (name, text), n in plan.unread.items() if name == field}
        examples = ", ".join(repr(text) for text in sorted(told)[:3])
        called = say("scrapped-on" if field == "scrapped" else field, language)
        found.append(say("unread", language, n=sum(told.values()), field=called, examples=examples))
    for state, n in sorted(plan.wishes.unknown_states.items(), key=_most):
        found.append(say("unknown-state", language, state=state, n=n, taken=plan.taken, mapping=mapping))
    others = sorted(plan.wishes.other_class.items(), key=lambda item: (-item[1], item[0]))
    told_classes = [say("other-class", language, model=m, ours=o, theirs=t, n=n) for (m, o, t), n in others]
    found += [line.removeprefix("  ") for line in _some(told_classes, language)]
    for site, owners in sorted(plan.places.several.items()):
        told_owners = ", ".join(f"{owner} {count(n, language)}" for owner, n in sorted(owners.items(), key=_most))
        found.append(say("several", language, site=site, owners=told_owners))
    return [say("remarks", language), *(f"  {line}" for line in found)] if found else []


def _fields(fields: dict[str, object], language: Language) -> dict[str, object]:
    names = fields.get("fields")
    if not isinstance(names, list):
        return fields
    return {"fields": ", ".join(say("scrapped-on" if name == "scrapped" else name, language) for name in names)}


def _check(plan: Plan, language: Language) -> list[str]:
    if not plan.touched:
        return []
    if not plan.errors:
        return [say("no-errors", language)]
    title = say("errors", language, n=len(plan.errors), before=plan.errors_before)
    return [title, *(f"  {line}" for line in str(plan.errors[0]).splitlines())]


def document(plan: Plan) -> dict[str, Any]:
    """Return a plan for programs."""
    return {
        "source": plan.read.source,
        "day": plan.day.isoformat(),
        "machines": len(plan.read.assets),
        "in_use": plan.in_use,
        "unchanged": plan.unchanged,
        "touched": [OWN[table] for table in plan.touched],
        "changes": [asdict(change) for change in plan.changes],
        "added": {table: lines for table, lines in plan.places.added.items() if lines},
        "unknown_models": {model: {"class": k, "machines": n} for model, (k, n) in plan.wishes.unknown_models.items()},
        "left": [
            {"where": o.asset.where, "name": o.name, "reason": o.reason, "detail": o.detail} for o in plan.wishes.left
        ],
        "near": [{"table": p.fields["table"], "one": p.fields["drop"], "other": p.fields["keep"]} for p in plan.near],
        "errors": len(plan.errors),
    }
