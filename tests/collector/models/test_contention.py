"""Shares of waiting time: example E of the domain research, after their units were made seconds at the border."""

from __future__ import annotations

import numpy as np
import pytest

from thinwatt_collector.models.contention import waiting_share
from thinwatt_collector.units import seconds


@pytest.mark.parametrize(
    "waited, elapsed, processors, share",
    [
        ("2000 ms", "20 s", 1, 0.10),
        ("15000 ms", "300 s", 1, 0.05),
        ("2000 ms", "20 s", 4, 0.025),
        ("750000000 ns", "15 s", 1, 0.05),
        ("900000 µs", "15 s", 1, 0.06),
    ],
)
def test_what_each_system_counts_in_its_own_unit(waited: str, elapsed: str, processors: int, share: float) -> None:
    found = waiting_share(np.array(seconds(waited)), np.array(seconds(elapsed)), processors)
    assert found == pytest.approx(share, rel=1e-9)


def test_an_interval_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="two readings"):
        waiting_share(np.array(1.0), np.array(0.0))
