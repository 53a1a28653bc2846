from __future__ import annotations

import logging
import os
from fractions import Fraction
from pathlib import Path

import pytest

from tests.agent.recording import SECOND, at, write
from thinwatt_agent.counters import Instant
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import Count, Energy, Gauge, Power, Read, textfile

PLACE = "var/lib/thinwatt/textfile"


def probed(root: Path, text: str = "", **options: object) -> Read | None:
    if text:
        write(root, {f"{PLACE}/a.prom": text})
    return textfile.probe(root, options)


def test_no_file_is_absence(tmp_path: Path) -> None:
    assert probed(tmp_path) is None
    write(tmp_path, {f"{PLACE}/notes.txt": "x_watts 5", f"{PLACE}/half.prom.tmp": "y_watts 5"})
    assert probed(tmp_path) is None


def test_metrics_are_what_their_names_labels_and_types_say(tmp_path: Path) -> None:
    text = """
    # TYPE room_celsius gauge
    room_celsius{place="rack 7"} 21.5
    # TYPE pages counter
    pages 12
    tank_seconds_total 3
    plug_joules_total{part="plug",scope="wall",basis="measured"} 12.5 1764000000000
    psu_watts{unit="2"} 60
    # TYPE seconds histogram
    seconds_bucket{le="1"} 4
    # TYPE quantiles summary
    quantiles{quantile="0.5"} 4
    """
    read = probed(tmp_path, text)
    assert read is not None
    plug = "plug_joules_total basis=measured part=plug scope=wall"
    assert read.specs[:5] == (
        Gauge("room_celsius", "celsius", "place=rack 7"),
        Count("pages", "1"),
        Count("tank_seconds_total", "s"),
        Energy(plug, "plug", 1e-6, None, 1e5, "wall", "measured", scaled=6),
        Power("psu_watts unit=2", "psu unit=2", 1e5, "component", "modelled"),
    )
    assert list(read.values(at(0)))[:5] == [21.5, 12.0, 3.0, 12_500_000, 60.0]


@pytest.mark.parametrize(
    "line,told",
    [
        ("plug_watts five", "line 2: 'five' is no number"),
        ("plug_watts", "line 2: not"),
        ("plug_watts{part=plug} 5", "line 2: labels"),
        ('plug_watts{scope="house"} 5', 'scope="house" is none of component, node, wall'),
        ("{} 5", "line 2: not"),
    ],
)
def test_a_wrong_line_is_named_and_costs_no_other_file(
    line: str, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, {f"{PLACE}/sound.prom": "other_watts 7"})
    with caplog.at_level(logging.WARNING):
        read = probed(tmp_path, f"# wrong\n{line}")
    assert read is not None
    assert read.values(at(0)) == [7.0]
    assert told in caplog.text
    assert "a.prom" in caplog.text


def test_an_old_file_is_a_failed_reading_and_no_power_for_ever(tmp_path: Path) -> None:
    read = probed(tmp_path, "plug_watts 5", max_age=60.0)
    assert read is not None
    os.utime(tmp_path / PLACE / "a.prom", (1000, 1000))
    moments = [Instant(0, 0, t * SECOND, "") for t in (1000, 1060, 1061)]
    assert [read.values(now)[0] for now in moments] == [5.0, 5.0, None]


@pytest.mark.parametrize("value", ["NaN", "nan", "+Inf", "-Inf", "1e999"])
def test_not_a_number_is_missing(value: str, tmp_path: Path) -> None:
    read = probed(tmp_path, f"plug_watts {value}\nplug_joules_total {value}")
    assert read is not None
    assert read.values(at(0)) == [None, None]


def test_a_series_that_is_not_there_any_more_is_a_failed_reading(tmp_path: Path) -> None:
    read = probed(tmp_path, "a_watts 5\nb_watts 6")
    write(tmp_path, {f"{PLACE}/a.prom": "b_watts 7\nc_watts 8"})
    assert read is not None
    assert read.values(at(0)) == [None, 7.0]


def test_a_file_whose_last_line_has_no_end_is_torn_and_missing_until_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / PLACE / "a.prom"
    read = probed(tmp_path, "a_watts 5\nplug_joules_total 123500")
    assert read is not None
    path.write_text("a_watts 5\nplug_joules_total 12")
    assert read.values(at(0)) == [None, None]
    assert textfile.probe(tmp_path, {}) is None
    assert "rename it" in caplog.text
    path.write_text("a_watts 5\nplug_joules_total 123600\n")
    assert read.values(at(0)) == [5.0, 123_600_000_000]


def test_a_script_that_writes_in_place_costs_a_reading_and_makes_up_no_energy(tmp_path: Path) -> None:
    """Even where the torn read is the one at which devices are looked for."""
    options = SamplerOptions(sources={n: {"enabled": n == "textfile"} for n in ("load", "sessions", "textfile")})
    texts = [f"plug_joules_total {123_400 + 100 * i}\n" for i in range(6)]
    texts[2] = "plug_joules_total 12"
    for torn_at_probe in (False, True):
        sampler, events, rows = Sampler(tmp_path, options), [], []
        for i, text in enumerate(texts):
            write(tmp_path, {f"{PLACE}/a.prom": text.encode()})
            if torn_at_probe and i == 2:
                sampler.reroot(tmp_path)
            rows.append(sampler.sample(at(1000 + 10 * i)))
            events += [event.kind for _, _, event in sampler.events()]
        columns = [(c.source, c.quantity) for c in sampler.schema.groups[0].columns]
        assert rows[-1][columns.index(("textfile", "energy"))] == 500.0
        assert events == ["failed"]


@pytest.mark.parametrize("joules", ["0.000001", "123456.7", "999999999999999", "4000000000000100", "1e30"])
def test_joules_are_whole_microjoules_however_many(joules: str, tmp_path: Path) -> None:
    read = probed(tmp_path, f"plug_joules_total {joules}")
    assert read is not None
    assert read.values(at(0)) == [round(Fraction(float(joules)) * 10**6)]


def test_a_file_from_before_the_clock_was_set_back_is_missing(tmp_path: Path) -> None:
    read = probed(tmp_path, "plug_watts 5")
    assert read is not None
    now = Instant(0, 0, 10**9 * SECOND, "")
    for ahead, seen in ((0, 5.0), (30, 5.0), (90, None), (3600, None), (10 * 86400, 5.0)):
        os.utime(tmp_path / PLACE / "a.prom", (10**9 + ahead, 10**9 + ahead))
        assert read.values(now) == [seen], ahead


def test_a_flood_of_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="501 series; at most 500"):
        probed(tmp_path, "".join(f'a_watts{{n="{i}"}} 1\n' for i in range(501)))


def test_its_folder_lies_below_the_root(tmp_path: Path) -> None:
    write(tmp_path, {"meters/a.prom": "a_watts 5"})
    assert probed(tmp_path, folder="/meters") is not None
