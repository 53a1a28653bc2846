"""Power models of devices as columns: what is assumed, and what was learnt since, by epoch (see ``calibrated``)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.calibrated import Calibrations, Hardware
from thinwatt_collector.models.devices import DeviceModel, DeviceModels
from thinwatt_collector.placed import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


TAKEN: Final = ("watts", "base", "efficiency", "rating", "supply", "u_meter", "u_component", "u_load")


class Powers:
    """Power models by the numbers of devices.

    Args:
        calibrations: what was learnt of hardware models.
    """

    def __init__(self, calibrations: Calibrations) -> None:
        self._rows = Rows(
            watts=(np.float64, (4,)),
            base=(np.float64, ()),
            efficiency=(np.float64, ()),
            rating=(np.float64, ()),
            supply=(np.float64, (4,)),
            u_meter=(np.float64, ()),
            u_component=(np.float64, ()),
            u_load=(np.float64, ()),
            place=(np.int64, ()),
        )
        self._hardware: list[Hardware] = []
        self.calibrate(calibrations)

    def calibrate(self, calibrations: Calibrations) -> None:
        """Take what was learnt of hardware models."""
        self.calibrations = calibrations
        self._places = {hardware: place for place, hardware in enumerate(calibrations.hardware, 1)}
        # By epoch and hardware, the first row of each for what has none: NaN for what was not learnt.
        self._learnt = [_learnt(calibrations, at) for at in (float("-inf"), *calibrations.epochs)]
        for device, hardware in enumerate(self._hardware):
            self._rows["place"][device] = self._places.get(hardware, 0)

    def take(self, device: int, hardware: Hardware, model: DeviceModel) -> None:
        """Take what is assumed of a device, known or the next one."""
        if device == len(self._hardware):
            self._rows.append()
            self._hardware.append(hardware)
        self._hardware[device] = hardware
        for name in TAKEN:
            self._rows[name][device] = getattr(model, name)
        self._rows["place"][device] = self._places.get(hardware, 0)

    def of(self, devices: Ints, epoch: int = -1) -> DeviceModels:
        """Return the power models of devices, in the shape of ``devices``.

        Args:
            devices: their numbers.
            epoch: how many epochs of calibrations have begun; -1: all.
        """
        d = self._rows
        assumed = DeviceModels(
            d["watts"][devices],
            d["base"][devices],
            d["efficiency"][devices],
            d["u_meter"][devices],
            d["u_component"][devices],
            d["u_load"][devices],
            d["rating"][devices],
            d["supply"][devices],
        )
        place = d["place"][devices]
        return _over(assumed, self._learnt[epoch][place]) if place.any() else assumed


def _over(assumed: DeviceModels, learnt: Floats) -> DeviceModels:
    """Return models with what was learnt in the place of what is assumed; ``learnt`` has the shape (…, 8)."""
    base, efficiency, u_component, u_load = (
        np.where(np.isfinite(learnt[..., 4 + k]), learnt[..., 4 + k], old)
        for k, old in enumerate((assumed.base, assumed.efficiency, assumed.u_component, assumed.u_load))
    )
    by_load = np.isfinite(learnt[..., 0])
    watts = np.where(by_load[..., None], learnt[..., :4], assumed.watts)
    # What was learnt of components is a straight line through the supply's own curve: factors of its two parts.
    rating = assumed.rating
    return DeviceModels(
        watts, base, efficiency, assumed.u_meter, u_component, u_load, rating, assumed.supply, by_load, assumed
    )


def _learnt(calibrations: Calibrations, at: float) -> Floats:
    """Return what holds at a time of each hardware: watts (4), base, efficiency, uncertainties; shape (1 + n, 8)."""
    found = np.full((1 + len(calibrations.hardware), 8), np.nan)
    for place, hardware in enumerate(calibrations.hardware, 1):
        if load := calibrations.at(hardware, "load", at):
            found[place, :4], found[place, 7] = load.watts, load.uncertainty
        if components := calibrations.at(hardware, "components", at):
            found[place, 4:7] = components.base, components.efficiency, components.uncertainty
    return found
