"""Reading back: energy of any window by time and group, from the coarsest rows that fit, and never twice.

What is booked lies in slots that are open or sealed and in hours (see migration 2); days are sums of hours, kept slots
their parts. So a window is cut into days that lie whole in one bucket, hours that do, and slots at the borders.

A device has several series that overlap. Those named ``booked`` are the winners of each moment, one a basis, and add
up to the device; they are what is read, unless ``source`` is asked for by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.days import HOUR, Grain, edges, zone_of
from thinwatt_collector.ledger.session import EngineError, Session, given
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Objects = NDArray[np.object_]
Groups = Mapping[str, tuple[Sequence[int], Sequence[str]]]
Relations = dict[str, dict[str, NDArray[Any]]]
Spans = dict[str, tuple[int, int]]

OF_DEVICE: Final = ("class", "model", "device", "simulated")
OF_SOURCE: Final = ("basis", "source", "part", "scope")
WINNER: Final = "booked"
SUMS: Final = "sum(joules) AS joules, sum(variance) AS variance, sum(bias) AS bias, sum(covered) AS covered"
BITS: Final = 128 * 2**20
"""Memory that counting devices may take [B]."""
ALONE: Final = "count(*) FILTER (WHERE n.id >= 0)"
PIECES: Final = (
    ("day_slot", "day", "the_days", "t.devices"),
    ("hour_slot", "hour", "the_hours", "t.devices"),
    ("kept_slot", "slot", "the_kept", "t.devices"),
    ("sealed_slot", "slot", "the_slots", "1"),
    ("open_slot", "slot", "the_slots", "1"),
)


class TooFineError(LedgerError):
    """What is asked lies within hours of which the slots are kept no longer."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the rows in their order: by time, then by the dimensions."""

    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class Table:
    """Energy of buckets of time and groups; every column has shape (n,).

    Attributes:
        begin: of the bucket, also where the window begins within it, UTC [s].
        dims: what was grouped by: texts, "" for none; ``simulated`` is true or false.
        joules: [J].
        variance: of the independent part of the uncertainty [J²].
        bias: the part that does not shrink with n [J].
        covered: [s], added up over devices.
        devices: how many different devices are in it; of folded ones at least so many.
    """

    begin: Ints
    dims: Mapping[str, Objects]
    joules: Floats
    variance: Floats
    bias: Floats
    covered: Floats
    devices: Ints

    def __len__(self) -> int:
        return len(self.begin)


def energy(
    session: Session,
    begin: int,
    end: int,
    grain: Grain,
    zone: str,
    by: Sequence[str],
    where: Mapping[str, Sequence[str]] | None = None,
    page: Page | None = None,
    groups: Groups | None = None,
    cuts: Sequence[int] = (),
) -> Table:
    """Return the energy of [begin, end) by bucket of time and ``by``.

    Args:
        session: a reader of the ledger of its own; it sees one moment of the ledger.
        begin: UTC [s], on a slot.
        end: likewise, not before ``begin``.
        grain: of the buckets; hours, days and months are those of ``zone``.
        zone: such as Europe/Paris.
        by: of class, model, device, simulated, basis, source, part, scope, and the names of ``groups``.
        where: dimension → texts that are let in.
        page: a part of the rows; None for all.
        groups: name → numbers of devices and their label, one a device; a device without one has "".
        cuts: times on slots at which a bucket is cut in two as well, UTC [s].

    Raises:
        ValueError: the question makes no sense; ``str()`` says why.
        TooFineError: there are no slots so fine any more.
        LedgerError: the ledger did not answer.
    """
    where, groups = where or {}, groups or {}
    _check(begin, end, by, where, groups)
    if any(at % SLOT_SECONDS for at in cuts):
        raise ValueError("a bucket can be cut on a slot only")
    limits = edges(begin, end, grain, zone_of(zone))
    if cuts:
        limits = np.union1d(limits, np.array([at for at in cuts if begin < at < end], np.int64))
    found: dict[str, Any] = {}
    try:
        with session.snapshot():
            relations = _pieces(session, begin, end, limits)
            spans = {name: _ends(columns["at"]) for name, columns in relations.items()}
            relations |= {f"group_{i}": _labels(*groups[name]) for i, name in enumerate(groups)}
            with given(session, relations):
                found = _ask(session, by, where, page, tuple(groups), len(limits) - 1, spans)
    except EngineError as error:
        raise LedgerError(f"the ledger did not answer: {error}") from error
    joules, variance, bias, covered = (found[n].astype(np.float64) for n in ("joules", "variance", "bias", "covered"))
    dims = {name: found[f"by_{i}"].astype(object) for i, name in enumerate(by)}
    begins = limits[:-1][found["bucket"].astype(np.int64)]
    return Table(begins, dims, joules, variance, bias, covered, found["devices"].astype(np.int64))


def _check(begin: int, end: int, by: Sequence[str], where: Mapping[str, Sequence[str]], groups: Groups) -> None:
    if begin % SLOT_SECONDS or end % SLOT_SECONDS or end < begin:
        raise ValueError(
            f"the window {begin} to {end} does not begin and end on a slot of {SLOT_SECONDS} s, or is none"
        )
    known = {*OF_DEVICE, *OF_SOURCE}
    for name in groups:
        if name in known or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"a group can't be named {name!r}: it is taken, or not of small letters, digits and _")
    for name in (*by, *where):
        if name not in known and name not in groups:
            raise ValueError(f"there is no dimension {name!r}; there are {', '.join(sorted({*known, *groups}))}")
    if len(set(by)) < len(by):
        raise ValueError("a dimension stands twice in what to group by")
    if "source" in by or set(where.get("source", (WINNER,))) != {WINNER}:
        open_ones = [n for n in ("source", "part", "scope") if n not in by and len(set(where.get(n, ()))) != 1]
        if open_ones:
            raise ValueError(
                f"sources overlap and are not added up: group by {' and '.join(open_ones)} too, or choose one of each"
            )


def _labels(ids: Sequence[int], labels: Sequence[str]) -> dict[str, NDArray[Any]]:
    label = np.empty(len(labels), object)
    label[:] = list(labels)
    if len(np.unique(np.asarray(ids, np.int64))) < len(labels):
        raise ValueError("a device has two labels of one dimension: its energy would count twice")
    return {"device": np.asarray(ids, np.int64), "label": label}


def _pieces(session: Session, begin: int, end: int, limits: Ints) -> Relations:
    """Return which days, hours and kept slots, and which slots beside them, belong to which bucket."""
    days = session.execute(
        "SELECT day, past FROM local_day WHERE day >= ? AND past <= ? ORDER BY day", [-(-begin // HOUR), end // HOUR]
    ).fetchnumpy()
    first, past = days["day"].astype(np.int64), days["past"].astype(np.int64)
    bucket = _bucket(first * HOUR, limits)
    whole = bucket == _bucket(past * HOUR - 1, limits)
    first, past, bucket = first[whole], past[whole], bucket[whole]
    low, high = _span(session, begin, end)
    hours = np.arange(low // HOUR, -(-high // HOUR))
    in_day = np.searchsorted(first, hours, side="right") - 1
    free = (in_day < 0) | (hours >= past[in_day]) if len(first) else np.ones(len(hours), np.bool_)
    hours = hours[free]
    inside = (hours * HOUR >= begin) & ((hours + 1) * HOUR <= end)
    inside &= _bucket(hours * HOUR, limits) == _bucket(hours * HOUR + HOUR - 1, limits)
    slots = np.arange(low // SLOT_SECONDS, high // SLOT_SECONDS)
    border = slots[np.isin(slots // 4, hours[~inside])]
    _there(session, np.unique(border // 4))
    hours = hours[inside]
    return {
        "the_days": {"at": first, "bucket": bucket},
        "the_hours": {"at": hours, "bucket": _bucket(hours * HOUR, limits)},
        "the_kept": {"at": border, "bucket": _bucket(border * SLOT_SECONDS, limits)},
        "the_slots": {"at": slots, "bucket": _bucket(slots * SLOT_SECONDS, limits)},
    }


def _bucket(at: Ints, limits: Ints) -> Ints:
    return np.searchsorted(limits, at, side="right").astype(np.int64) - 1


def _span(session: Session, begin: int, end: int) -> tuple[int, int]:
    """Return the part of the window outside of which there is nothing at all [UTC s]."""
    found = session.execute(
        """SELECT min(low), max(high) FROM (SELECT min(slot) AS low, max(slot) + 1 AS high FROM open_slot
        UNION ALL SELECT min(slot), max(slot) + 1 FROM sealed_slot
        UNION ALL SELECT min(day) * 4, max(past) * 4 FROM local_day
        UNION ALL SELECT min(hour) * 4, max(hour) * 4 + 4 FROM hour_slot
        WHERE NOT EXISTS (SELECT 1 FROM day_zone WHERE complete)) AS spans"""
    ).fetchall()[0]
    if found[0] is None:
        return begin, begin
    low, high = max(begin, found[0] * SLOT_SECONDS), min(end, found[1] * SLOT_SECONDS)
    return low, max(low, high)


def _there(session: Session, hours: Ints) -> None:
    """Raise where slots of these hours are wanted and gone."""
    ((kept,),) = session.execute("SELECT max(hour) FROM slots_kept").fetchall()
    gone = hours[hours < kept]
    if len(gone):
        with given(session, {"gone": {"at": gone}}):
            text = "SELECT 1 FROM hour_slot WHERE hour IN (SELECT gone.at FROM gone) LIMIT 1"
            if session.execute(text).fetchall():
                raise TooFineError(
                    f"before {np.datetime64(kept * HOUR, 's')}Z there are hours and no slots any more: "
                    "ask for whole hours of UTC, by hour or coarser"
                )


def _ask(
    session: Session,
    by: Sequence[str],
    where: Mapping[str, Sequence[str]],
    page: Page | None,
    groups: tuple[str, ...],
    buckets: int,
    spans: Spans,
) -> dict[str, Any]:
    """Return the sums as columns.

    Devices are counted as bits, each in a place of its own within its group; where that takes too much memory the sums
    are made by device first. A device may stand in a row of a group for its older days and by itself for the others:
    of a class, whichever are more are counted.
    """
    kinds, relations = _kinds(session, by, where)
    filters = [name for name in where if name not in OF_SOURCE]
    parameters: list[object] = [list(where[name]) for name in filters]
    chosen = " AND ".join(f'"{name}" IN (SELECT unnest(?::VARCHAR[]))' for name in filters)
    apart = "".join(f', "{name}"' for name in by if name not in OF_SOURCE and name not in ("class", "simulated"))
    named = f"""WITH named AS (SELECT *,
        row_number() OVER (PARTITION BY class, simulated{apart} ORDER BY id) - 1 AS bit_at
        FROM ({_named(groups)}) AS labelled {f"WHERE {chosen}" if chosen else ""})"""
    size = f"""{named} SELECT coalesce(max(bit_at), 0), count(DISTINCT (class, simulated{apart})) FROM named"""
    ((last, count),) = session.execute(size, parameters).fetchall()
    rows = count * len(np.unique(relations["the_sources"]["kind"])) * buckets
    kind = ", kind" if kinds else ""
    columns = "".join(f', {"k" if n in OF_SOURCE else "n"}."{n}" AS by_{i}' for i, n in enumerate(by))
    order = "".join(f", by_{i}" for i in range(len(by)))
    in_order = "".join(f", by_{i}{session.order}" for i in range(len(by)))
    bits = session.bits and rows * (last // 8 + 17) <= BITS
    counted = f"coalesce(bit_count(bitstring_agg(bit_at, 0, {last}) FILTER (WHERE n.id >= 0)), 0)" if bits else ALONE
    of_kind = "JOIN the_sources AS o ON o.source = pieces.source" if kinds else ""
    text = f"""
        {named}, pieces AS ({_union(relations["the_sources"]["source"], spans, restricted=bool(filters))}),
        by_device AS (SELECT device, bucket{kind}, {SUMS if not bits else "joules, variance, bias, covered"},
            {"devices" if bits else "max(devices) AS devices"} FROM pieces {of_kind}
            {"" if bits else f"GROUP BY device, bucket{kind}"}),
        by_class AS (SELECT bucket{columns}, {SUMS},
            greatest({counted}, coalesce(max(devices) FILTER (WHERE n.id < 0), 0)) AS devices
            FROM by_device JOIN named AS n ON n.id = by_device.device
            {"JOIN the_kinds AS k USING (kind)" if kinds else ""} GROUP BY bucket{order}, n.class, n.simulated)
        SELECT bucket{order}, {SUMS}, CAST(sum(devices) AS BIGINT) AS devices FROM by_class
        GROUP BY bucket{order} ORDER BY bucket{in_order}
    """
    if page:
        text += " LIMIT ? OFFSET ?"
        parameters += [page.limit, page.offset]
    with given(session, relations):
        return dict(session.execute(text, parameters).fetchnumpy())


def _named(groups: Sequence[str]) -> str:
    """Return a query of every device and its labels; a folded one has the label that it was folded by."""
    labels = "".join(
        f""", coalesce(CAST(g{i}.label AS VARCHAR), CASE WHEN e.dimension = '{n}' THEN e.label END, '') AS "{n}\""""
        for i, n in enumerate(groups)
    )
    joins = " ".join(f"LEFT JOIN group_{i} AS g{i} ON g{i}.device = e.id" for i in range(len(groups)))
    return f"""SELECT e.id, e.device, e.class, e.model, CASE WHEN e.simulated THEN 'true' ELSE 'false' END AS simulated
        {labels} FROM (SELECT id, name AS device, class, model, simulated, '' AS dimension, '' AS label FROM device
        UNION ALL SELECT id, '', class, '', simulated, dimension, label FROM folded_device) AS e {joins}"""


def _ends(at: Ints) -> tuple[int, int]:
    return (int(at.min()), int(at.max())) if len(at) else (0, -1)


def _union(sources: Ints, spans: Spans, *, restricted: bool) -> str:
    """Return a query of every row that counts, with its bucket: each joule stands in one of the five tables' parts.

    The ends of each part say the same again as the join does, in a way that every engine skips rows by.
    """
    ids = ", ".join(map(str, sources.tolist())) or "NULL"
    only = "AND t.device IN (SELECT id FROM named)" if restricted else ""
    return " UNION ALL ".join(
        f"""SELECT t.device, w.bucket, t.source, t.joules, t.variance, t.bias, t.covered, {devices} AS devices
        FROM {table} AS t JOIN {when} AS w ON t.{grain} = w.at
        WHERE t.{grain} BETWEEN {spans[when][0]} AND {spans[when][1]} AND t.source IN ({ids}) {only}"""
        for table, grain, when, devices in PIECES
    )


def _kinds(session: Session, by: Sequence[str], where: Mapping[str, Sequence[str]]) -> tuple[bool, Relations]:
    """Return whether sources are told apart, which are read, and the texts of each kind that is told apart."""
    rows = session.execute("SELECT id, basis, name, part, scope FROM source").fetchall()
    let_in = {"source": (WINNER,), **{n: tuple(t) for n, t in where.items() if n in OF_SOURCE}}
    if "source" in by and "source" not in where:
        del let_in["source"]
    at = {name: i for i, name in enumerate(OF_SOURCE, 1)}
    rows = [row for row in rows if all(row[at[name]] in texts for name, texts in let_in.items())]
    told = [name for name in by if name in OF_SOURCE]
    texts = [tuple(row[at[name]] for name in told) for row in rows]
    kinds = sorted(set(texts))
    of_kind = {name: np.array([text[i] for text in kinds], object) for i, name in enumerate(told)}
    numbers = {text: i for i, text in enumerate(kinds)}
    return bool(told), {
        "the_sources": {
            "source": np.array([row[0] for row in rows], np.int64),
            "kind": np.array([numbers[text] for text in texts], np.int64),
        },
        "the_kinds": {"kind": np.arange(len(kinds)), **of_kind},
    }
