"""The parameters that endpoints of /api/v1 have in common, as their OpenAPI document tells them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query

from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.documents import Boundary
from thinwatt_collector.serve.api.energy import View
from thinwatt_collector.serve.api.question import DIMENSIONS, MOMENT, NO_NUL, TEXTS

WRITTEN: Final[dict[str, Any]] = {"pattern": f"^{MOMENT}$"}
"""In the document only: a time that is none gets an error of its own."""
Begin = Annotated[
    str | None,
    Query(
        json_schema_extra=WRITTEN,
        description="from when on, ISO 8601; a date is its midnight in `zone`; default: today's",
        examples=["2026-11-01"],
    ),
]
End = Annotated[
    str | None,
    Query(json_schema_extra=WRITTEN, description="until before when; default: now", examples=["2026-12-01"]),
]
GrainOf = Annotated[Grain, Query(description="length of a bucket; a slot is a quarter of an hour UTC")]
Zone = Annotated[
    str | None,
    Query(
        description="time zone by whose clocks days and months begin; default: the collector's",
        examples=["Europe/Paris"],
    ),
]
ENERGY_BY: Final = "|".join(DIMENSIONS)
By = Annotated[
    str,
    Query(
        json_schema_extra={"pattern": f"^(({ENERGY_BY})(,({ENERGY_BY}))*)?$"},
        description="dimensions of the rows, with commas; made-up devices always stand apart; device: role technical",
        examples=["class,basis", "site,building,room"],
    ),
]
ViewOf = Annotated[
    View,
    Query(
        description="restated: carbon by the factors, and modelled energy by the calibrations, that are known now; "
        "booked: by those known on each day"
    ),
]
BoundaryOf = Annotated[
    Boundary,
    Query(
        description="what energy, carbon and euros are of: machines: what the machines draw; room: with what their "
        "room needs for them, by its PUE on the day (cooling, losses on the way); a room without one adds nothing"
    ),
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="rows on a page [1]")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the page before")]


def only(what: str) -> Any:
    """Return the query parameter of a filter."""
    told = {"items": {"enum": list(TEXTS[what])}} if what in TEXTS else {}
    return Query(
        alias=what, description=f"only this {what}; may be repeated", max_length=50, json_schema_extra=told or None
    )


Texts = list[Annotated[str, Query(max_length=200, json_schema_extra={"pattern": NO_NUL})]] | None
