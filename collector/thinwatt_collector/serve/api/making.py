"""/making: what the inventory's devices took to make, who bears it when, and what is used again.

It comes from the inventory, not from what anybody does; still no row of it is of fewer than five endpoints for the role
public. The places, classes and models of all devices that were ever there are put together once, the same for every
question, until each group has five (``inventory/grouping.py``); every answer is made of sums of whole groups. A group
of which fewer than five were there in a period is "other" in it, and what is too few even so is withheld.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from thinwatt_agent.places import meant
from thinwatt_collector.inventory import grouping, reuse
from thinwatt_collector.inventory.annual import Where as Grouped
from thinwatt_collector.inventory.bearing import Bearing, Label, Row
from thinwatt_collector.inventory.campus import Cell
from thinwatt_collector.inventory.life_cycle import BY, LifeCycle, Where
from thinwatt_collector.inventory.making import DAY
from thinwatt_collector.inventory.making_page import document
from thinwatt_collector.inventory.watched import Now, Standing
from thinwatt_collector.models.rules import Rule
from thinwatt_collector.serve.api.privacy import NOBODYS, OTHER, K, Role, sees_all
from thinwatt_collector.serve.api.problems import ProblemError, unfit, wrong
from thinwatt_collector.serve.api.question import DATE

Grain = Literal["month", "year", "all"]
FILTERS: Final = BY
MOST_ROWS: Final = 10_000
LONGEST: Final = 18_300
"""The longest window that may be asked for at once [d]."""
NO_INVENTORY: Final = "name its folder in [inventory] of the collector's configuration; docs/inventory.md"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked; ``end`` is the first day no more of the window."""

    begin: date
    end: date
    grain: Grain
    by: tuple[str, ...]
    rule: Rule
    where: Mapping[str, tuple[str, ...]]


def asked(
    begin: str | None,
    end: str | None,
    grain: Grain,
    by: Sequence[str],
    rule: Rule,
    where: Mapping[str, Sequence[str]],
    today: date,
) -> Asked:
    """Return the question, or raise what is wrong with it.

    Raises:
        ProblemError: 400, a parameter is wrong; 422, they do not go together.
    """
    last = today + timedelta(days=1) if end is None else _day("end", end)
    before = last - timedelta(days=1)
    first = date(before.year, 1, 1) if begin is None else _day("begin", begin)
    if last <= first:
        raise unfit("end", "it is not later than begin", "give an end behind begin: the first day no more of it")
    if (last - first).days > LONGEST:
        raise unfit("end", f"a window has at most {LONGEST} days", "take a shorter window")
    for name in by:
        if name not in BY:
            raise wrong("by", f"{name!r} is no dimension" + meant(name, BY), f"take {', '.join(BY)}")
    if len(set(by)) < len(by):
        raise unfit("by", "a dimension stands there twice", "name each once")
    named = {name: tuple(texts) for name, texts in where.items()}
    for name, texts in named.items():
        if any("\0" in text for text in texts):
            raise wrong(name, "there is a NUL byte in it, which no name has", "write the name without it")
    return Asked(first, last, grain, tuple(name for name in BY if name in by), rule, named)


def _day(parameter: str, text: str) -> date:
    if not re.fullmatch(DATE, text):
        raise wrong(parameter, f"{text[:40]!r} is no date from 1970 to 2099", "write a day like 2026-01-01")
    return date.fromisoformat(text)


def edges(begin: date, end: date, grain: Grain) -> list[date]:
    """Return the limits of the periods of a window, which cuts the first and the last.

    >>> [str(day) for day in edges(date(2025, 11, 15), date(2026, 2, 1), "month")]
    ['2025-11-15', '2025-12-01', '2026-01-01', '2026-02-01']
    >>> [str(day) for day in edges(date(2025, 11, 15), date(2026, 2, 1), "year")]
    ['2025-11-15', '2026-01-01', '2026-02-01']
    """
    found = [begin]
    while grain != "all":
        year, month = divmod(found[-1].year * 12 + found[-1].month, 12)
        after = date(year, month + 1, 1) if grain == "month" else date(found[-1].year + 1, 1, 1)
        if after >= end:
            break
        found.append(after)
    return [*found, end]


def five(cycle: LifeCycle) -> list[Where | None]:
    """Return under what each of ``cycle.wheres`` is shown to everybody: groups of five endpoints, or nobody's.

    None: in no group, since the whole campus has too few.
    """
    cells = [
        Cell(Grouped(w.kind, w.model, w.site, w.building, w.room), "", round(n), 0, 0, 0.0)
        for w, n in zip(cycle.wheres, cycle.machines().tolist(), strict=True)
    ]
    named = grouping.with_models(grouping.enough(K, NOBODYS), K, NOBODYS)(cells) if cells else []
    owners: dict[Label, set[str]] = {}
    for where, name in zip(cycle.wheres, named, strict=True):
        owners.setdefault(name or (), set()).add(where.establishment)
    found: list[Where | None] = []
    for where, name in zip(cycle.wheres, named, strict=True):
        whose = owners[name or ()]
        merged = Where(next(iter(whose)) if len(whose) == 1 else OTHER, *name) if name else None
        found.append(where if where.kind in NOBODYS else merged)
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """The lives of an inventory, and under what they are shown."""

    standing: Standing
    cycle: LifeCycle
    everybody: Sequence[Where | None]


class MakingView:
    """Answers what is asked of making.

    Args:
        inventory: what stands where, as known now.
        zone: of the site, by whose clocks its days begin.
    """

    def __init__(self, inventory: Now, zone: ZoneInfo) -> None:
        self._inventory, self._zone = inventory, zone
        self._known: Known | None = None
        self._turn = threading.Lock()

    def today(self, now: int) -> date:
        """Return the day of the site."""
        return datetime.fromtimestamp(now, UTC).astimezone(self._zone).date()

    def known(self) -> Known:
        """Return the lives of the inventory of now, worked out once for each reading of it.

        Raises:
            ProblemError: 404, there is no inventory.
        """
        standing = self._inventory()
        if standing.inventory is None:
            raise ProblemError(404, "there is no inventory, and so no making", remedy=NO_INVENTORY)
        with self._turn:  # one works it out, the others wait for it
            if self._known is None or self._known.standing is not standing:
                cycle = LifeCycle(standing.inventory, standing.places, self._zone)
                self._known = Known(standing, cycle, five(cycle))
            return self._known

    def answer(self, question: Asked, role: Role) -> dict[str, Any]:
        """Return the answer as a document, but for what the ledger says.

        Raises:
            ProblemError: 404, there is no inventory; 422, too many rows.
        """
        known, all_of_it = self.known(), sees_all(role)
        shown: Sequence[Where | None] = known.cycle.wheres if all_of_it else known.everybody
        chosen = [where if where and _meets(where, question.where) else None for where in shown]
        limits = edges(question.begin, question.end, question.grain)
        groups = len({where.told(question.by) for where in chosen if where})
        if (len(limits) - 1) * groups > MOST_ROWS:
            detail = f"that is {len(limits) - 1} periods of {groups} groups, {MOST_ROWS} rows at most"
            raise unfit("grain", detail, "take a coarser grain, a shorter window or less in by")
        rows: list[Row] = []
        withheld = any(where is None for where in shown)
        labels = [where and where.told(question.by) for where in chosen]
        for period in pairwise(limits):
            here = labels if all_of_it else enough(known.cycle, labels, period)
            withheld = withheld or any(a is None for a, b in zip(here, labels, strict=True) if b is not None)
            rows += Bearing(known.cycle, here).rows(period)
        years = range(question.begin.year, (question.end - timedelta(days=1)).year + 1)
        used = reuse.by_year(known.cycle, years, [where and where.told(("establishment",)) for where in chosen])
        told = document(rows, used, (question.begin, question.end), question.by, question.rule)
        return told | {"grain": question.grain, "withheld": withheld}


def enough(cycle: LifeCycle, labels: Sequence[Label | None], period: tuple[date, date]) -> list[Label | None]:
    """Return labels of which none is of fewer than five endpoints that were there in a period, but for none at all.

    Args:
        cycle: the lives of all devices.
        labels: of ``cycle.wheres``; None: in no group.
        period: first day, and first day no more of it.
    """
    begin, end = (day.toordinal() * DAY for day in period)
    there = cycle.machines(begin, end).tolist()
    of = [None if w.kind in NOBODYS else label for w, label in zip(cycle.wheres, labels, strict=True)]
    sizes: Counter[Label] = Counter()
    for label, n in zip(of, there, strict=True):
        if label is not None:
            sizes[label] += round(n)
    few = {label for label, n in sizes.items() if 0 < n < K}
    apart = sum(sizes[label] for label in few)
    return [
        label if mine is None or mine not in few else (OTHER,) * len(mine) if apart >= K else None
        for label, mine in zip(labels, of, strict=True)
    ]


def _meets(where: Where, wanted: Mapping[str, Sequence[str]]) -> bool:
    return all(where.told((name,))[0] in texts for name, texts in wanted.items())
