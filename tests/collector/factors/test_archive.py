"""The archive: nothing is changed or removed, any day can be had again, damage is told with its remedy."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError
from thinwatt_collector.factors.grid.archive import Archive
from thinwatt_collector.factors.grid.publishers import age
from thinwatt_collector.factors.grid.readings import Readings, best

WORDS = ("tr", "cons", "def")
PER = units.scale("g/kWh", "g/J")
FIRST = 1_929_000


def readings(slots: list[int], g_per_kwh: list[float], rank: int = 0, told: int = 1_750_000_000) -> Readings:
    n = len(slots)
    return Readings(np.array(slots, np.int64), np.array(g_per_kwh) * PER, np.full(n, rank), np.full(n, told))


def state(found: Readings) -> list[tuple[int, float, int]]:
    return sorted(zip(found.slot.tolist(), (found.intensity / PER).round(9).tolist(), found.rank.tolist(), strict=True))


def test_what_was_filed_comes_back_and_is_not_filed_twice(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "deep", WORDS)
    given = readings(list(range(FIRST, FIRST + 300)), [0.1 * i for i in range(300)])
    assert archive.add(given, 1.75e9) == 300
    assert archive.add(given, 1.75e9 + 60) == 0
    assert state(archive.read()) == state(given)
    assert archive.checked() == 1.75e9 + 60


def test_a_person_can_read_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path, WORDS)
    archive.add(readings([FIRST], [64.0], 1), 1.75e9)
    assert (tmp_path / "2025-01.csv").read_text() == (
        "begin,g_per_kwh,revision,told\n2025-01-05T18:00Z,64,cons,2025-06-15T15:06:40Z\n"
    )
    assert (tmp_path / "checked").read_text() == "2025-06-15T15:06:40Z\n"


def test_a_revision_is_one_more_row_and_every_day_can_be_had_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path, WORDS)
    for rank, value, told in ((0, 50.0, 100), (0, 51.0, 200), (1, 40.0, 300), (0, 52.0, 400), (2, 41.0, 500)):
        assert archive.add(readings([FIRST], [value], rank, told), told) == 1
    found = archive.read()
    assert len(found) == 5
    known = {t: (best(found, t).intensity / PER).round(9).tolist() for t in (99, 100, 250, 300, 450, 500)}
    assert known == {99: [], 100: [50.0], 250: [51.0], 300: [40.0], 450: [40.0], 500: [41.0]}


def test_a_figure_that_goes_back_to_what_it_was_is_filed_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path, WORDS)
    filed = [archive.add(readings([FIRST], [v], 0, t), t) for t, v in ((1, 50.0), (2, 51.0), (3, 50.0), (4, 50.0))]
    assert filed == [1, 1, 1, 0]
    assert (best(archive.read()).intensity / PER).round(9).tolist() == [50.0]


@given(
    arrays.arrays(np.float64, 20, elements=st.floats(0, 2000).map(lambda v: round(v, 3))),
    st.lists(st.integers(FIRST - 4000, FIRST + 4000), min_size=20, max_size=20, unique=True),
)
def test_any_figures_in_any_months(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray[tuple[int], np.dtype[np.float64]], slots: list[int]
) -> None:
    archive = Archive(tmp_path_factory.mktemp("archive"), WORDS)
    given = readings(slots, values.tolist())
    for part in (given.at(np.arange(0, 12)), given.at(np.arange(8, 20))):
        archive.add(part, 1.75e9)
    assert state(archive.read()) == state(given)


@pytest.mark.parametrize(
    "line, told",
    [
        ("2025-01-07T18:00Z,64,cons", "line 2"),
        ("2025-01-07T18:00Z,much,cons,2025-06-15T15:06:40Z", "much"),
        ("2025-01-07T18:00,64,cons,2025-06-15T15:06:40Z", "offset"),
        ("2025-01-07T18:00Z,64,best,2025-06-15T15:06:40Z", "best"),
    ],
)
def test_damage_is_told_with_file_line_and_remedy(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "2025-01.csv").write_text(f"begin,g_per_kwh,revision,told\n{line}\n")
    with pytest.raises(FactorError, match=r"line .*: .*remove it and fetch its month again") as caught:
        Archive(tmp_path, WORDS).read()
    assert told in str(caught.value)
    assert str(tmp_path / "2025-01.csv") in str(caught.value)


def test_what_is_no_archive_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("mine")
    (tmp_path / "2025-01.csv.old").write_text("mine")
    archive = Archive(tmp_path, WORDS)
    assert len(archive.read()) == 0
    assert age(archive, 0.0) == f"the archive {tmp_path} is empty"
    (tmp_path / "2025-01.csv").write_text("mine\n")
    with pytest.raises(FactorError, match="the first line is not begin,"):
        archive.read()


def test_two_programs_that_write_take_turns(tmp_path: Path) -> None:
    def file(rank: int) -> None:
        for i in range(20):
            Archive(tmp_path, WORDS).add(readings([FIRST + i], [float(i)], rank), 1.75e9)

    threads = [threading.Thread(target=file, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Archive(tmp_path, WORDS).read()) == 60


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FactorError, match="cannot be written"):
        Archive(tmp_path / "file" / "deep", WORDS).add(readings([FIRST], [1.0]), 0.0)


def test_its_age_is_told_in_words(tmp_path: Path) -> None:
    archive = Archive(tmp_path, WORDS)
    archive.add(readings([FIRST, FIRST + 1], [1.0, 2.0]), 1.75e9)
    assert "reaches from 2025-01-05 18:00 UTC to 2025-01-05 18:30 UTC" in age(archive, 1.75e9 + 4.2 * 86_400)
    assert "last answered 2025-06-15 15:06 UTC, 4.2 days ago" in age(archive, 1.75e9 + 4.2 * 86_400)
    (tmp_path / "checked").unlink()
    assert "never asked" in age(archive, 1.75e9)
    assert archive.checked() is None
    assert not math.isnan(archive.read().intensity.sum())
