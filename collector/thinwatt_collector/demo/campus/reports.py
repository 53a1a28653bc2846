"""What meters and agents say: by basis, with the faults that they have; whole joules and whole seconds.

A room's devices have a power meter each (*measured*), an agent that reads component counters while they are on
(*modelled*), or one that knows only their state (*assumed*); off, nothing but the state is known of the last two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus import draws
from thinwatt_collector.demo.campus.endpoints import Times
from thinwatt_collector.demo.campus.parameters import Faults
from thinwatt_collector.demo.campus.places import drawn_as
from thinwatt_collector.models.devices import DeviceModel
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BASES: Final = ("measured", "modelled", "assumed")
MEASURED, MODELLED, ASSUMED = range(len(BASES))


@dataclass(frozen=True, slots=True)
class Reports:
    """Series of the ledger: one row a device and basis.

    Attributes:
        device: number, shape (n,).
        basis: place in :data:`BASES`, shape (n,).
        joules: shape (n, slots) [J].
        bias: likewise, of the uncertainty that does not shrink [J].
        covered: likewise [s]; 0 where nothing is said.
    """

    device: Ints
    basis: Ints
    joules: Floats
    bias: Floats
    covered: Floats

    def numbered(self, first: int) -> Reports:
        """Return the same with devices counted from ``first``."""
        return Reports(self.device + first, self.basis, self.joules, self.bias, self.covered)

    def of(self, devices: Sequence[int]) -> Reports:
        """Return what is said of some devices, with these counted from 0 in their order."""
        number = np.full(int(self.device.max(initial=-1)) + 1, -1, np.int64)
        number[list(devices)] = np.arange(len(devices))
        kept = np.flatnonzero(number[self.device] >= 0)
        device = number[self.device[kept]]
        return Reports(device, self.basis[kept], self.joules[kept], self.bias[kept], self.covered[kept])

    def until(self, slots: int) -> Reports:
        """Return the first slots of it."""
        return Reports(self.device, self.basis, self.joules[:, :slots], self.bias[:, :slots], self.covered[:, :slots])


def together(parts: list[Reports]) -> Reports:
    """Return all rows, one part behind the other."""
    return Reports(*(np.concatenate([getattr(p, n) for p in parts]) for n in Reports.__dataclass_fields__))


def said(basis: int, joules: Floats, covered: Floats, relative: float) -> Reports:
    """Return one row a device, rounded as counters are.

    Args:
        basis: place in :data:`BASES`.
        joules: shape (n, slots) [J].
        covered: likewise [s].
        relative: standard uncertainty, NaN for none stated [1].
    """
    covered = np.rint(covered)
    joules = np.where(covered > 0, np.rint(joules), 0.0)
    count = len(joules)
    bias = np.rint(joules * np.nan_to_num(relative))
    return Reports(np.arange(count), np.full(count, basis), joules, bias, covered)


def lost(seed: int, names: list[str], at: Ints, faults: Faults) -> Floats:
    """Return the seconds of each slot whose samples got lost, in bursts: shape (devices, slots)."""
    key = draws.keys(seed, names, "lost")[:, None]
    drawn = draws.uniform(key, at)
    chance = faults.lost * SLOT_SECONDS / faults.burst
    # What is left of a number that is below the chance is a number as good as a new one.
    length = -faults.burst * np.log(np.minimum(drawn / chance, 1.0))
    whole = np.ceil(length / faults.sample) * faults.sample
    return np.minimum(whole, SLOT_SECONDS)


def metered(seed: int, names: list[str], true: Floats, gone: Floats, model: DeviceModel, spread: float) -> Reports:
    """Return what power meters say, each with an error of its gain.

    Args:
        seed: of the campus.
        names: of the devices.
        true: shape (devices, slots) [J].
        gone: seconds lost, likewise.
        model: states the uncertainty of a meter.
        spread: of the gain [1].
    """
    gain = 1.0 + spread * draws.normal(draws.keys(seed, names, "gain"))[:, None]
    return said(MEASURED, true * gain * (1.0 - gone / SLOT_SECONDS), SLOT_SECONDS - gone, model.u_meter)


def by_components(
    seed: int,
    names: list[str],
    named: str,
    drawn: Floats,
    times: Times,
    gone: Floats,
    model: DeviceModel,
    spread: float,
) -> Reports:
    """Return what component counters say of machines that are on, and the state of those that are off.

    Args:
        seed: of the campus.
        names: of the devices.
        named: the hardware model; all of one have an error in common.
        drawn: while on, shape (devices, slots) [J].
        times: by state.
        gone: seconds lost, likewise.
        model: states the uncertainties, and the power when off.
        spread: of what devices have for themselves [1].
    """
    keep = 1.0 - gone / SLOT_SECONDS
    common = model.u_component * float(draws.normal(draws.keys(seed, [drawn_as(named)], "components"))[0])
    error = np.maximum(1.0 + common + spread * draws.normal(draws.keys(seed, names, "components")), 0.1)[:, None]
    on = said(MODELLED, drawn * error * keep, (times.active + times.idle) * keep, model.u_component)
    off = said(ASSUMED, times.off * model.states[0], times.off, model.u_load)
    return together([on, off])


def by_state(times: Times, gone: Floats, model: DeviceModel) -> Reports:
    """Return what is assumed from the state alone: the model's power times the seconds."""
    off, _, idle, active = model.states.tolist()
    keep = 1.0 - gone / SLOT_SECONDS
    joules = (times.active * active + times.idle * idle) * keep + times.off * off
    return said(ASSUMED, joules, (times.active + times.idle) * keep + times.off, model.u_load)


def stuck(reports: Reports, place: int, when: NDArray[np.bool_], watts: float) -> Reports:
    """Return the same with one meter that says the same power all the time in some slots."""
    joules = reports.joules.copy()
    joules[place, when] = np.rint(watts * reports.covered[place, when])
    return replace(reports, joules=joules)
