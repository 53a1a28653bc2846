"""Why earlier figures changed, and what happened to the ledger: its events, in words, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.books import Happened
from thinwatt_collector.serve.api.documents import Moment, Next
from thinwatt_collector.serve.api.privacy import Role, sees_all


class Said(BaseModel):
    """One text in two languages."""

    fr: str
    en: str


class Event(BaseModel):
    """Something that happened."""

    at: Moment
    kind: str = Field(
        description="restated: newer emission factors changed the carbon of earlier energy; calibrated: a power model "
        "was learnt from metered machines; ledger_outage: nothing was booked for a while; simulated: a demonstration"
    )
    subject: str
    text: Said | None = Field(
        description="role public: null, for the words have figures in them that may be of few devices"
    )


class Events(BaseModel):
    """Newest first."""

    zone: str
    events: list[Event]
    next: Next


def shown(found: Sequence[Happened], role: Role, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return events as a role may see them."""
    return [
        {
            "at": calendar.text(event.at // 10**9, zone),
            "kind": event.kind,
            "subject": event.subject,
            "text": {"fr": event.french, "en": event.english} if sees_all(role) else None,
        }
        for event in found
    ]
