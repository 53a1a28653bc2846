"""Covered and gap time of a question, as its asker may see it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.serve.api import calendar, privacy
from thinwatt_collector.serve.api.books import Reader
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.privacy import Cells, Role
from thinwatt_collector.serve.api.question import SLOT, Question
from thinwatt_collector.serve.api.rows import Rows, empty, joined, summed

Floats = NDArray[np.float64]

ON_ITS_WAY: Final = 120
"""An agent's frame of a minute, and the commit that takes it, are in the ledger after that [s]."""


def coverage(
    accounts: Accounts, reader: Reader, asked: Question, role: Role, now: int
) -> tuple[Rows, Floats, NDArray[np.int64]]:
    """Return sums of covered time, the time of the slots in which devices were heard [s], and the ends of the buckets.

    Args:
        accounts: where cells of endpoints come from.
        reader: of the ledger.
        asked: the question; its right to ask for devices is checked already.
        role: of the asker.
        now: UTC [s].
    """
    first = reader.first()
    asked = replace(asked, end=max(asked.begin, min(asked.end, settled(now))))
    begin = asked.end if first is None else max(asked.begin, first)
    edges = calendar.edges(asked.begin, asked.end, asked.grain, asked.zone)
    if begin >= asked.end:
        return empty(asked.by), np.zeros(0), np.zeros(0, np.int64)
    window, parts = (begin, asked.end), []
    if privacy.sees_all(role):
        slots = accounts.exact(reader, asked, window, now, "slot")
    else:
        slots = accounts.hosts(reader, asked, window, "slot")
        parts.append(_timed(accounts.cells(reader, asked, begin, now), edges, asked, (asked.begin, asked.end)))
    slots = summed(slots, asked.by, apart=True)
    at = np.clip(np.searchsorted(edges, slots.begin, side="right") - 1, 0, len(edges) - 2)
    expected = (slots.devices * SLOT).astype(np.float64)
    parts.append(replace(slots, begin=edges[at], joules=expected, variance=np.zeros(len(slots))))
    sums = summed(joined(parts, asked.by), asked.by)
    hidden = np.isnan(sums.joules)
    end = edges[np.searchsorted(edges, sums.begin, side="right")] if len(sums) else sums.begin
    return replace(sums, covered=np.where(hidden, np.nan, sums.covered)), sums.joules, end


def settled(now: int) -> int:
    """Return the end of the last slot of which nothing is on its way any more, UTC [s].

    What a running slot will cover nobody knows yet: its rest is no gap.
    """
    return (now - ON_ITS_WAY) // SLOT * SLOT


def _timed(cells: Cells, edges: NDArray[np.int64], asked: Question, window: tuple[int, int]) -> Rows:
    """Return the sums of cells with the time of their slots [s] in place of the energy."""
    timed: dict[str, Any] = {"joules": cells.expected}
    sums, cut = privacy.answer(replace(cells, rows=replace(cells.rows, **timed)), edges, asked.by, window)
    return joined([sums, cut], asked.by)
