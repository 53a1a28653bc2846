"""From the parameters of a request to a question; what can't be asked is told with the parameter and the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from thinwatt_agent.places import meant
from thinwatt_collector.inventory.places import LEVELS
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.documents import Boundary
from thinwatt_collector.serve.api.privacy import Role, sees_all
from thinwatt_collector.serve.api.problems import ProblemError, unfit, wrong

DIMENSIONS: Final = ("class", "model", "basis", "simulated", *LEVELS, "device")
FILTERS: Final = DIMENSIONS
TEXTS: Final = {"basis": ("measured", "modelled", "assumed"), "simulated": ("true", "false")}
"""Dimensions of few texts."""
DATE: Final = (
    "((19[789]|20[0-9])[0-9]-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    "02-(0[1-9]|1[0-9]|2[0-8]))|(19(7[26]|8[048]|9[26])|20([02468][048]|[13579][26]))-02-29)"
)
"""The days from 1970 to 2099: an other one is a slip of the pen."""
HOUR: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
MOMENT: Final = f"{DATE}([T ]{HOUR}(:[0-5][0-9](\\.[0-9]{{1,9}})?)?(Z|[+-]{HOUR})?)?"
NO_NUL: Final = "^[^\\u0000]*$"
EARLIEST: Final = 0
LATEST: Final = 4_102_444_800
"""2100-01-01 [s]."""
SLOT: Final = 900


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the ledger; times in UTC [s], on slots.

    ``boundary`` says what the figures are of: the machines alone, or with what their room needs for them (PUE).
    """

    begin: int
    end: int
    grain: Grain
    zone: ZoneInfo
    by: tuple[str, ...]
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    boundary: Boundary = "machines"


def known(given: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse a parameter that an endpoint does not have: a slip that is passed over answers another question."""
    for name in given:
        if "\0" in name:
            raise wrong("query", "a name with a NUL byte is none of a parameter", f"take one of {', '.join(allowed)}")
        if name not in allowed:
            raise wrong(name, "there is no such parameter" + meant(name, allowed), f"take one of {', '.join(allowed)}")
    for name in set(given) - set(FILTERS):
        if list(given).count(name) > 1:
            raise wrong(name, "it stands there twice", "give it once")


def question(
    begin: str | None,
    end: str | None,
    grain: Grain,
    zone: str,
    by: Sequence[str],
    where: Mapping[str, Sequence[str]],
    role: Role,
    now: int,
) -> Question:
    """Return the question, or raise what is wrong with it.

    Args:
        begin: as written; None for the beginning of today.
        end: as written; None for now.
        grain: of the answer.
        zone: name of the time zone of days and months.
        by: dimensions of the answer.
        where: dimension → texts of which one must be met.
        role: of the asker.
        now: UTC [s].

    Raises:
        ProblemError: a parameter is wrong, or asks for what the role does not see.
    """
    try:
        place = calendar.clocks(zone)
    except ValueError as error:
        raise wrong("zone", str(error), "write a name of the tz database, like Europe/Paris or UTC") from None
    first = calendar.midnight(now, place) if begin is None else moment("begin", begin, place)
    last = now if end is None else moment("end", end, place)
    first, last = first // SLOT * SLOT, -(-last // SLOT) * SLOT
    if last <= first:
        raise unfit(
            "end", "it is not later than begin", "give an end behind begin; a day ends where the next one begins"
        )
    if last - first > calendar.LONGEST[grain] * 86_400:
        longest = calendar.LONGEST[grain]
        raise unfit(
            "grain", f"a window by {grain} has at most {longest} days", "take a coarser grain or a shorter window"
        )
    for name in {*by, *where} & {"device"}:
        if not sees_all(role):
            raise ProblemError(
                403,
                f"{name}: single devices are not shown to the role {role}",
                name,
                "ask by class or model, or show a token of the role technical",
            )
    return Question(first, last, grain, place, dimensions(by), filters(where))


def dimensions(by: Sequence[str]) -> tuple[str, ...]:
    """Return what to group by, in the order of the ledger; made-up devices are never added to real ones."""
    for name in by:
        if name not in DIMENSIONS:
            raise wrong("by", f"{name!r} is no dimension" + meant(name, DIMENSIONS), f"take {', '.join(DIMENSIONS)}")
    return tuple(name for name in DIMENSIONS if name in by or name == "simulated")


def filters(where: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return what rows must be of; a dimension without texts is left out."""
    for name, among in TEXTS.items():
        for text in where.get(name, ()):
            if text not in among:
                raise wrong(name, f"{text!r} is not known", f"take one of {', '.join(among)}")
    for name, written in where.items():
        if any("\0" in text for text in written):
            raise wrong(name, "there is a NUL byte in it, which no name has", "write the name without it")
    return {name: tuple(sorted(set(texts))) for name, texts in where.items() if texts}


def moment(parameter: str, text: str, zone: ZoneInfo) -> int:
    """Return a time written as ISO 8601, UTC [s since 1970].

    A date alone is its midnight, and a time without an offset is, by the clocks of ``zone``.

    >>> paris = ZoneInfo("Europe/Paris")
    >>> moment("begin", "2026-11-24", paris) - moment("begin", "2026-11-23T23:00:00Z", paris)
    0
    """
    remedy = "write 2026-11-24, 2026-11-24T08:15 or 2026-11-24T08:15:00+01:00"
    if not re.fullmatch(MOMENT, text):
        raise wrong(
            parameter, f"{text[:40]!r} is no time of 1970 to 2099", remedy + "; a + in an address is written %2B"
        )
    found = datetime.fromisoformat(text)
    at = int((found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC).timestamp())
    return min(max(at, EARLIEST), LATEST)
