"""Electricity Maps: the hourly intensity of a zone's consumption, of some 200 zones; needs a token.

Its life-cycle figure (``kind = "record"``) counts upstream and plants, and imports by where they come from, but is not
ADEME's: in France a report that must be comparable takes the table. Its direct figure (``kind = "live"``) is of what
burns. What it marks as estimated is flagged as a fallback until the measured figure comes.

Two things of its API are traps: a zone that it does not know it may answer with the zone from where the caller seems to
call, so we forbid that and compare the zone of every answer; and of the past a free token gets 24 hours only.

References:
    API reference v3 (portal.electricitymaps.com/developer-hub/api/reference): ``carbon-intensity/past-range``, at most
    10 days of hours a question, ``carbon-intensity/history``; header ``auth-token``. Its licence is commercial.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, Kind, check
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.factors.grid.archive import Archive
from thinwatt_collector.factors.grid.readings import Batch, Said, document, moment, number, on_slots
from thinwatt_collector.factors.grid.series import Publication, Revision, Series
from thinwatt_collector.fetch import Fetcher
from thinwatt_collector.models.energy import SLOT_SECONDS

NAME: Final = "electricitymaps"
KINDS: Final[tuple[Kind, ...]] = ("record", "live")
TYPES: Final = {"record": "lifecycle", "live": "direct"}
"""Method → ``emissionFactorType``."""
OPTIONS: Final = ("kind", "zone", "archive", "url", "since", "as_of", "token_file", "past")
URL: Final = "https://api.electricitymaps.com/v3"
REVISIONS: Final = (Revision("estimated", "estimated", sure=False), Revision("measured", "measured"))
HOUR: Final = 3600
DAY: Final = 86_400
LONG: Final = 10 * DAY
"""The longest span of hours that one question may ask for [s]."""
OPEN: Final = 3 * DAY
"""Figures younger than this are asked for again: they are estimated at first [s]."""


def load(options: Mapping[str, Any]) -> Series:
    """Return the intensity of a zone from the archive.

    Args:
        options: ``kind`` ("record": life cycle, or "live": direct), ``zone`` ("FR", "DE", …), ``archive``: folder that
            ``fetch`` fills, ``as_of``: a day; what was told later is left out.

    Raises:
        FactorError: an option is wrong, or the archive is empty.
    """
    check(NAME, options, OPTIONS)
    kind = _kind(options)
    as_of = publishers.day(NAME, options, "as_of")
    of = Publication(
        kind,
        f"{NAME}_{TYPES[kind]}",
        f"carbonIntensity, {TYPES[kind]}",
        "Electricity Maps, API v3 carbon-intensity, electricitymaps.com",
        REVISIONS,
        publishers.known(NAME)["doubt"],
    )
    try:
        readings = _archive(options).read()
        return Series(of, _zone(options), readings, math.inf if as_of is None else as_of)
    except FactorError as error:
        raise FactorError(f"factors.{NAME}: {error}: run thinwatt-collector factors fetch") from error


def fetch(options: Mapping[str, Any], fetcher: Fetcher, now: float) -> str:
    """Ask for what is new and file it. Return in words what came.

    Args:
        options: those of ``load``, and ``token_file``: a file with the token alone; ``past``: false where the token's
            plan has no past-range but the last 24 hours only; ``since``: the first day to ask for.
        fetcher: asks.
        now: UTC [s].

    Raises:
        FactorError: it did not give it; it says what the archive holds all the same.
    """
    check(NAME, options, OPTIONS)
    archive, headers = _archive(options), {"auth-token": _token(options)}
    zone, kind = _zone(options), _kind(options)
    asked = {
        "zone": zone,
        "emissionFactorType": TYPES[kind],
        "temporalGranularity": "hourly",
        "shouldUseFallbackCallerLookup": "false",
    }
    url = f"{options.get('url') or URL}/carbon-intensity"

    def ask(path: str, more: Mapping[str, str]) -> Batch:
        def read(body: bytes) -> Batch:
            return readings_of(rows_of(body, zone), TYPES[kind], now)

        return fetcher.get(f"{url}/{path}?{urlencode({**asked, **more})}", read, headers)

    if options.get("past") is False:
        spans = [(int(now) - DAY, int(now))]
        told = publishers.ask(NAME, archive, spans, lambda *_: ask("history", {}), now)
    else:
        readings, end = archive.read(), int(now) // HOUR * HOUR
        since = publishers.day(NAME, options, "since") or int(now) - LONG
        begin = max(since, int(readings.slot.max()) * SLOT_SECONDS - OPEN) if len(readings) else since
        spans = [(a, min(b, end)) for a, b in publishers.windows(begin, end, LONG)]
        told = publishers.ask(
            NAME, archive, spans, lambda a, b: ask("past-range", {"start": _iso(a), "end": _iso(b)}), now
        )
    return f"{NAME}: {told}; {publishers.age(archive, now)}"


def rows_of(body: bytes, zone: str) -> list[Any]:
    """Return the rows of an answer, of ``history``, ``past-range`` or ``latest``.

    Raises:
        ValueError: it is none, or of another zone.
    """
    found = document(body)
    if not isinstance(found, dict):
        raise ValueError("neither rows nor an error")  # noqa: TRY004  # it is the answer that is wrong
    if found.get("error") or found.get("status") == "error":
        raise ValueError(str(found.get("message") or found.get("error")))
    if found.get("zone") != zone:
        raise ValueError(f"asked for zone {zone}, answered for {found.get('zone')!r}")
    rows = found.get("history", found.get("data", [found] if "carbonIntensity" in found else None))
    if not isinstance(rows, list):
        raise ValueError("an answer without history or data")  # noqa: TRY004  # as above
    return rows


def readings_of(rows: Iterable[Any], factor_type: str, told: float) -> Batch:
    """Return rows as readings, each of an hour; rows of another type of factor are left out.

    >>> row = {"carbonIntensity": 19, "datetime": "2024-07-04T11:00:00.000Z", "emissionFactorType": "lifecycle",
    ...     "isEstimated": False}
    >>> readings_of([row], "lifecycle", 0.0).readings.slot.tolist()
    [1911212, 1911213, 1911214, 1911215]
    """
    per, said, strange = units.scale("g/kWh", "g/J"), [], 0
    for row in rows:
        try:
            begin = moment(row.get("datetime"))
            if row.get("emissionFactorType", factor_type) != factor_type:
                raise ValueError("of another type")
        except (ValueError, AttributeError):
            strange += 1
            continue
        intensity, rank = number(row.get("carbonIntensity")) * per, int(row.get("isEstimated") is False)
        said += [Said(begin + quarter, intensity, rank) for quarter in range(0, HOUR, SLOT_SECONDS)]
    batch = on_slots(said, told, 1, publishers.known(NAME)["largest"])
    batch.counts["unreadable"] = strange
    return batch


def _archive(options: Mapping[str, Any]) -> Archive:
    """Return the archive of a zone and a type of factor: figures of two of them never meet."""
    place = publishers.folder(NAME, options) / f"{_zone(options)}-{TYPES[_kind(options)]}"
    return Archive(place, [r.word for r in REVISIONS])


def _zone(options: Mapping[str, Any]) -> str:
    zone = str(options.get("zone", "FR"))
    if not zone.replace("-", "").isalnum():
        raise FactorError(f"factors.{NAME}: {zone!r} is no zone: write one like FR, DE or US-CAL-CISO")
    return zone


def _kind(options: Mapping[str, Any]) -> Kind:
    return "live" if options.get("kind") == "live" else "record"


def _token(options: Mapping[str, Any]) -> str:
    path = options.get("token_file")
    if not path:
        raise FactorError(
            f"factors.{NAME}: token_file is not set: a file with the token of Electricity Maps alone in it"
        )
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FactorError(f"factors.{NAME}: token_file {path} cannot be read: {error}") from error
    if not token.isascii() or not token.isprintable() or not token:
        raise FactorError(f"factors.{NAME}: token_file {path} holds no token alone in a line")
    return token


def _iso(utc: int) -> str:
    return f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%dT%H:%M:%SZ}"
