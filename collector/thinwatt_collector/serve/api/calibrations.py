"""Which power model a hardware model has, how far it may be off, and why last month changed: ``/calibrations``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, Field

from thinwatt_collector.calibrated import WAYS, Calibrations, Hardware, Learnt, words
from thinwatt_collector.calibrated.words import LANGUAGES, Z95
from thinwatt_collector.models.devices import ModelOf
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.books import Known
from thinwatt_collector.serve.api.privacy import NOBODYS, Role, sees_all


class Knows(Protocol):
    """Who calibrates."""

    @property
    def refused(self) -> Sequence[dict[str, Any]]:
        """What could not be calibrated the last time, and why, in words."""

    def now(self) -> Calibrations:
        """Return what is known."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """Where nothing is ever calibrated."""

    known: Calibrations = field(default_factory=Calibrations)
    refused: Sequence[dict[str, Any]] = ()

    def now(self) -> Calibrations:
        """Return what is known."""
        return self.known


NOBODY: Final = Nobody()
Said = dict[Literal["fr", "en"], str]
Percent = "half the 95 % interval [%]"


class Calibration(BaseModel):
    """A calibration of a hardware model."""

    kind: str = Field(alias="class", description="class of devices")
    model: str = Field(description="hardware model")
    simulated: str = Field(description="made up by a demonstration: 'true' or 'false'")
    way: Literal["components", "load"] = Field(description="what is brought to the wall")
    version: int = Field(description="of this model and way, from 1 on")
    newest: bool = Field(description="what view=restated works with")
    valid_from: str = Field(description="slots are booked by it from here on, ISO 8601")
    learnt: str = Field(description="when, ISO 8601")
    begin: str = Field(description="of what it was learnt from, ISO 8601")
    end: str = Field(description="likewise")
    machines: int = Field(description="metered ones that it was learnt from [1]")
    hours: int = Field(description="of them, added up [h]")
    rest_watts: float = Field(description="at rest, at the wall [W]")
    rest_watts_assumed: float = Field(description="what was assumed before any meter [W]")
    moving: float = Field(description="watts at the wall for a watt assumed above rest [1]")
    watts: list[float] | None = Field(description="at 0, 10, 50 and 100 % load [W]; null of components")
    assumed_off: float = Field(description="by how much what was assumed missed the metered machines [1]")
    residual: float = Field(description="what an hour of a metered machine is missed by, root mean square [1]")
    one_percent: float = Field(description=f"of one unmetered machine: {Percent}")
    many_percent: float = Field(description=f"of many unmetered machines together: {Percent}")
    said: Said = Field(description="the same in words; how much energy it restates: of endpoints for technical only")


class Refused(BaseModel):
    """Why a hardware model with meters is not calibrated (role technical)."""

    kind: str = Field(alias="class", description="class of devices")
    model: str = Field(description="hardware model; '' where its machines do not say it")
    simulated: bool = Field(description="made up by a demonstration")
    way: Literal["components", "load"] = Field(description="what would be brought to the wall")
    fr: str = Field(description="why")
    en: str = Field(description="why")


class OfDevice(BaseModel):
    """The power models of one device (role technical)."""

    device: str = Field(description="its name")
    kind: str = Field(alias="class", description="class")
    model: str = Field(description="hardware model as the machine names itself")
    table: str = Field(description="row of data/devices.csv that is assumed; '' for the default of the class")
    calibrated: dict[Literal["components", "load"], int | None] = Field(description="version that is used; null: none")
    percent: dict[Literal["components", "load"], float | None] = Field(description=Percent + "; null: no model")


class CalibrationsOf(BaseModel):
    """What is known of hardware models."""

    calibrations: list[Calibration]
    refused: list[Refused] | None = Field(description="null: not shown to this role")
    device: OfDevice | None = Field(description="where one is asked for")


def document(
    knows: Knows, assumed: ModelOf, role: Role, clock: ZoneInfo, device: Known | None, now: int
) -> dict[str, Any]:
    """Return the answer.

    Args:
        knows: what.
        assumed: power models before any calibration.
        role: of the asker. Calibrations of endpoints are of five machines at least, so they are everybody's.
        clock: whose local times are written.
        device: asked for, if any.
        now: UTC [s].
    """
    known = knows.now()
    newest = {(c.hardware, c.way): c for c in known.newest()}
    return {
        "calibrations": [_record(c, clock, newest[c.hardware, c.way] is c, sees_all(role)) for c in known.every],
        "refused": list(knows.refused) if sees_all(role) else None,
        "device": _device(device, known, assumed, now) if device else None,
    }


def _record(found: Learnt, clock: ZoneInfo, newest: bool, whole: bool) -> dict[str, Any]:
    times = {name: calendar.text(getattr(found, name), clock) for name in ("valid_from", "learnt", "begin", "end")}
    return {
        "class": found.kind,
        "model": found.model,
        "simulated": str(found.simulated).lower(),
        "way": found.way,
        "version": found.version,
        "newest": newest,
        **times,
        "machines": found.machines,
        "hours": found.hours,
        "rest_watts": found.rest * found.rest_watts,
        "rest_watts_assumed": found.rest_watts,
        "moving": found.moving,
        "watts": found.watts.tolist() if found.way == "load" else None,
        "assumed_off": found.off,
        "residual": found.residual,
        "one_percent": 100 * Z95 * found.uncertainty,
        "many_percent": 100 * Z95 * found.common,
        "said": {
            language: words.learnt(found, clock, language, whole or found.kind in NOBODYS) for language in LANGUAGES
        },
    }


def _device(device: Known, known: Calibrations, model_of: ModelOf, now: int) -> dict[str, Any]:
    assumed = model_of(device.kind, device.model)
    spread = {"components": assumed.u_component, "load": assumed.u_load}
    used = {way: known.at(Hardware(device.kind, device.model, device.simulated), way, now) for way in WAYS}
    doubt = {way: held.uncertainty if (held := used[way]) else float(spread[way]) for way in WAYS}
    return {
        "device": device.name,
        "class": device.kind,
        "model": device.model,
        "table": assumed.of,
        "calibrated": {way: held.version if (held := used[way]) else None for way in WAYS},
        "percent": {way: 100 * Z95 * of if np.isfinite(of) else None for way, of in doubt.items()},
    }
