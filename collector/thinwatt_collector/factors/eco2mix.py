"""RTE éCO2mix: what the French grid emits, every quarter of an hour, from the open data of ODRÉ.

``taux_co2`` is direct: what burns in the power plants of mainland France, for each kWh that they produce. No fuel is
mined in it, no plant built, no line lost on, nothing imported. So it tells *when* the grid is clean, and is never added
to a record. As ``profile`` its shape is scaled to the year's mean of ADEME.

ODRÉ publishes it twice: at once (``eco2mix-national-tr``, 15 min), and consolidated, later definitive
(``eco2mix-national-cons-def``, 30 min for long, 15 min lately; the rows between are there and empty). Better revisions
take the place of worse ones. Where clocks go forward a day has an hour of rows that never was, on instants that have
rows already; where they go back, an hour is missing.

References:
    Opendatasoft Explore API v2.1 (help.opendatasoft.com/apis/ods-explore-v2): ``records`` gives 100 rows at a time and
    10,000 in all, ``exports`` gives everything. RTE's data: Licence Ouverte 2.0.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, Intensity, Kind, check, table
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.factors.grid.archive import Archive
from thinwatt_collector.factors.grid.readings import Batch, Said, document, joined, moment, number, on_slots
from thinwatt_collector.factors.grid.series import Profile, Publication, Revision, Series
from thinwatt_collector.fetch import Fetcher, FetchError
from thinwatt_collector.models.energy import SLOT_SECONDS

NAME: Final = "eco2mix"
KINDS: Final[tuple[Kind, ...]] = ("live", "profile")
METHODS: Final = {"live": "rte_direct_15min", "profile": "rte_profile_ademe"}
OPTIONS: Final = ("kind", "zone", "archive", "exports", "url", "since", "as_of", "file")
URL: Final = "https://odre.opendatasoft.com/api/explore/v2.1/catalog/datasets"
REALTIME: Final = "eco2mix-national-tr"
CONSOLIDATED: Final = "eco2mix-national-cons-def"
FIELDS: Final = ("date", "heure", "date_heure", "nature", "taux_co2")
LABELS: Final = {"date - heure": "date_heure", "taux de co2 (g/kwh)": "taux_co2"}
"""Headings of a CSV export with labels in the place of names."""
REVISIONS: Final = (
    Revision("tr", "données temps réel"),
    Revision("cons", "données consolidées"),
    Revision("def", "données définitives"),
)
PARIS: Final = ZoneInfo("Europe/Paris")
LONGEST: Final = 2
"""The longest step is half an hour [slots]."""
PAGE: Final = 100
DAY: Final = 86_400
SHORT: Final = 3 * DAY
"""A span that is asked for by pages; a longer one is exported [s]."""
LONG: Final = 31 * DAY
"""Length of an export [s]."""
FIRST: Final = 30 * DAY
"""What is asked for at first when ``since`` does not say [s]."""
SETTLED: Final = 14 * DAY
"""Younger figures are never consolidated [s]."""


def load(options: Mapping[str, Any]) -> Intensity:
    """Return the live intensity of the French grid, or ADEME's in its shape, from what lies on disk.

    Args:
        options: ``kind`` ("live" or "profile"), ``zone`` ("FR"), ``archive``: folder that ``fetch`` fills; ``exports``:
            a folder of files downloaded from ODRÉ by hand, JSON or CSV, for a machine without a way out; ``as_of``:
            a day; what was published later is left out; ``file``: a table of records in the place of ours, for the
            profile.

    Raises:
        FactorError: an option is wrong, or there is nothing to read.
    """
    check(NAME, options, OPTIONS)
    zone, kind = str(options.get("zone", "FR")), options.get("kind", "live")
    if zone != "FR":
        raise FactorError(f"factors.{NAME}: it knows no zone {zone!r}: set zone to FR, or another source")
    parts = []
    if options.get("archive") or not options.get("exports"):
        parts.append(_archive(options).read())
    if options.get("exports"):
        parts += [batch.readings for _, batch in exports(Path(options["exports"]))]
    as_of = publishers.day(NAME, options, "as_of")
    try:
        shape = Series(_publication(), zone, joined(parts), math.inf if as_of is None else as_of)
    except FactorError as error:
        raise FactorError(
            f"factors.{NAME}: {error}: run thinwatt-collector factors fetch, or put exports of {REALTIME} into a "
            "folder and name it as exports"
        ) from error
    if kind == "live":
        return shape
    record = table.load({key: options[key] for key in ("file", "as_of") if options.get(key)} | {"zone": zone})
    return Profile(METHODS["profile"], "profil éCO2mix recalé", shape, record, PARIS)


def fetch(options: Mapping[str, Any], fetcher: Fetcher, now: float) -> str:
    """Ask ODRÉ for what is new and file it; once a day also for what has been revised. Return in words what came.

    Raises:
        FactorError: ODRÉ did not give it; it says what the archive holds all the same.
    """
    check(NAME, options, OPTIONS)
    archive, url = _archive(options), str(options.get("url") or URL)
    readings, checked = archive.read(), archive.checked()
    since = publishers.day(NAME, options, "since") or int(now) - FIRST
    live = readings.at(readings.rank == 0).slot
    begin = max(since, int(live.max()) * SLOT_SECONDS - DAY) if len(live) else since
    begin, end = begin // DAY * DAY, int(now) // DAY * DAY + DAY
    if end - begin <= SHORT:
        told = publishers.ask(NAME, archive, [(begin, end)], lambda a, b: _pages(fetcher, url, a, b, now), now)
    else:
        months = _months(begin, end)
        told = publishers.ask(NAME, archive, months, lambda a, b: _export(fetcher, url, REALTIME, a, b, now), now)
    if checked is None or checked // DAY != now // DAY:
        definitive = set((readings.at(readings.rank == 2).slot * SLOT_SECONDS // DAY).tolist())
        months = _months(since, int(now) - SETTLED)
        months = [(a, b) for a, b in months if not set(range(a // DAY, b // DAY)) <= definitive]
        again = publishers.ask(NAME, archive, months, lambda a, b: _export(fetcher, url, CONSOLIDATED, a, b, now), now)
        told += f", and of revisions {again}"
    return f"{NAME}: {told}; {publishers.age(archive, now)}"


def exports(folder: Path) -> Iterator[tuple[Path, Batch]]:
    """Yield what each file of a folder says, in the order of their names; told when the file was written.

    Raises:
        FactorError: a file that cannot be read.
    """
    for path in sorted(p for p in folder.glob("*") if p.suffix in {".json", ".csv"}):
        try:
            body = path.read_bytes()
            found = rows_of_csv(body) if path.suffix == ".csv" else rows_of_json(body)
            yield path, readings_of(found, path.stat().st_mtime)
        except (OSError, ValueError) as error:
            raise FactorError(f"factors.{NAME}: {path}: {error}: download this export again") from error


def readings_of(rows: Iterable[Mapping[str, Any]], told: float) -> Batch:
    """Return rows of either dataset, from records, exports or files, as readings.

    >>> row = {"date_heure": "2021-12-01T00:00:00+01:00", "nature": "Données temps réel", "taux_co2": "70"}
    >>> batch = readings_of([row, row | {"taux_co2": None}], 0.0)
    >>> (batch.readings.intensity * 3.6e6).round(9).tolist(), batch.counts["missing"]
    ([70.0], 1)
    """
    per, said, unreadable = units.scale("g/kWh", "g/J"), [], 0
    for row in rows:
        try:
            begin = moment(row.get("date_heure"))
        except (ValueError, AttributeError):
            unreadable += 1
            continue
        intensity = number(row.get("taux_co2"), zero_is_null=True) * per
        said.append(Said(begin, intensity, _rank(row.get("nature")), _straight(row, begin)))
    batch = on_slots(said, told, LONGEST, publishers.known(NAME)["largest"])
    batch.counts["unreadable"] = unreadable
    return batch


def rows_of_json(body: bytes) -> list[Any]:
    """Return the rows of an answer of the API, v2.1, v2.0 or v1, or of an export.

    Raises:
        ValueError: it is none.
    """
    found = document(body)
    if isinstance(found, dict) and "error_code" in found:
        raise ValueError(f"{found['error_code']}: {found.get('message', '')}")
    if isinstance(found, dict) and isinstance(found.get("results"), list):
        return list(found["results"])
    if isinstance(found, dict) and isinstance(found.get("records"), list):
        return [_fields(row) for row in found["records"]]
    if isinstance(found, list):
        return [_fields(row) for row in found]
    raise ValueError(f"neither rows nor an error: {json.dumps(found)[:80]}")


def rows_of_csv(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a CSV export, with names or labels as headings, `;` or `,` between.

    Raises:
        ValueError: it has no times or no intensities.
    """
    text = body.decode("utf-8-sig")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in first else ",", strict=True)
    try:
        names = [LABELS.get(c.strip().lower(), c.strip().lower()) for c in next(reader, [])]
        if not {"date_heure", "taux_co2"} <= set(names):
            raise ValueError(f"its first line names no date_heure and taux_co2: {first[:80]!r}")
        return [dict(itertools.zip_longest(names, cells[: len(names)])) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _archive(options: Mapping[str, Any]) -> Archive:
    return Archive(publishers.folder(NAME, options), [r.word for r in REVISIONS])


def _publication() -> Publication:
    source = f"RTE éCO2mix by ODRÉ, {REALTIME} and {CONSOLIDATED}, odre.opendatasoft.com, Licence Ouverte 2.0"
    return Publication("live", METHODS["live"], "taux_co2", source, REVISIONS, publishers.known(NAME)["doubt"])


def _rank(nature: object) -> int:
    written = str(nature).lower()
    return 2 if "finitive" in written else 1 if "consolid" in written else 0


def _straight(row: Mapping[str, Any], begin: int) -> bool:
    """Return whether the row's local date and time, where it has them, are those of its instant."""
    if not row.get("date") or not row.get("heure"):
        return True
    local = datetime.fromtimestamp(begin, UTC).astimezone(PARIS)
    return (str(row["date"]), str(row["heure"])[:5]) == (f"{local:%Y-%m-%d}", f"{local:%H:%M}")


def _fields(row: Any) -> Any:
    inner = row.get("record", row) if isinstance(row, dict) else row
    return inner.get("fields", inner) if isinstance(inner, dict) else inner


def _months(begin: int, end: int) -> list[tuple[int, int]]:
    return publishers.windows(begin, end, LONG) if begin < end else []


def _query(begin: int, end: int) -> dict[str, str]:
    first, last = (f"{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%S}+00:00" for t in (begin, end))
    return {
        "select": ",".join(FIELDS),
        "where": f"date_heure >= date'{first}' AND date_heure < date'{last}'",
        "order_by": "date_heure",
        "timezone": "UTC",
    }


def _export(fetcher: Fetcher, url: str, dataset: str, begin: int, end: int, now: float) -> Batch:
    address = f"{url}/{dataset}/exports/json?{urlencode(_query(begin, end))}"
    return fetcher.get(address, lambda body: readings_of(rows_of_json(body), now))


def _pages(fetcher: Fetcher, url: str, begin: int, end: int, now: float) -> Batch:
    rows: list[Any] = []
    total = math.inf
    while len(rows) < total:
        query = _query(begin, end) | {"limit": str(PAGE), "offset": str(len(rows))}
        page, total = fetcher.get(f"{url}/{REALTIME}/records?{urlencode(query)}", _page)
        if not page and len(rows) < total:
            raise FetchError(f"{url}/{REALTIME}: {total} rows promised, {len(rows)} given")
        rows += page
    return readings_of(rows, now)


def _page(body: bytes) -> tuple[list[Any], float]:
    found, whole = rows_of_json(body), document(body)
    total = whole.get("total_count") if isinstance(whole, dict) else None
    if not isinstance(total, int):
        raise ValueError("a page without total_count")  # noqa: TRY004  # it is the answer that is wrong
    return found, total
