"""What the benchmarks print is read by people."""

from __future__ import annotations

import pytest

from benchmarks.measure import Figure, plain, spread


@pytest.mark.parametrize(
    "number, text",
    [
        (18000.0, "18,000"),
        (18234.4, "18,234"),
        (1_500_000.0, "1,500,000"),
        (100.0, "100"),
        (99.96, "100"),
        (99.9, "99.9"),
        (12.345, "12.3"),
        (3.0, "3"),
        (0.0, "0"),
        (0.3, "0.3"),
        (0.000012345, "0.0000123"),
        (-0.0042, "-0.0042"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_a_number_is_written_as_people_write_it(number: float, text: str) -> None:
    assert plain(number) == text


def test_a_figure_says_how_many_not_times_ten_to_the() -> None:
    figure = Figure("connections", spread([17999.0, 18000.0, 18000.0]), "", "18,000", True, "real sockets")
    assert figure.text() == ("connections: 17,999 · 18,000 · 18,000 (n = 3); aim 18,000: reached; against real sockets")
