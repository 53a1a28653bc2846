"""The tables of numbers: every row cited, every refusal with its line; lookups by class and hardware model."""

from __future__ import annotations

import ast
import csv
import io
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from thinwatt_collector import data
from thinwatt_collector.data import DataError, rows
from thinwatt_collector.factors import names
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.factors.table import COLUMNS as ELECTRICITY
from thinwatt_collector.inventory import making, profiles, reuse
from thinwatt_collector.models import devices
from thinwatt_collector.models.devices import DeviceTable, supply
from thinwatt_collector.serve.api import indicators

DEVICES = ("class", "model", "quantity")
TABLES: dict[str, tuple[tuple[str, ...], str | dict[str, str]]] = {
    "components": (("component", "quantity"), dict(making.COMPONENTS)),
    "making": (("class", "quantity"), dict(making.DEFAULTS)),
    "devices": (DEVICES, dict(devices.UNITS)),
    "electricity": (ELECTRICITY, "g/J"),
    "publishers": (publishers.COLUMNS, publishers.QUANTITIES),
    "criteria": (("zone", "quantity"), dict(indicators.CRITERIA)),
    "equivalences": (("name", "per", "en", "fr"), "g"),
    "reuse": (("quantity",), dict(reuse.QUANTITIES)),
    "supplies": (("kind", "level", "load"), "1"),
    "times": (("class", "quantity"), dict(profiles.QUANTITIES)),
}
SET_BY_LAW = {"reuse"}
HEADER = "class,model,quantity,value,unit,valid_from,uncertainty,distribution,source\n"
GOOD = "host,,idle,100,W,2024-01-01,10 %,uniform,a sheet\n"


def test_every_table_of_the_package_is_among_those_tested() -> None:
    found = {path.stem for path in Path(str(data.__file__)).parent.glob("*.csv")}
    assert found == set(TABLES)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_number_is_cited_and_has_a_spread(name: str) -> None:
    table = rows(name, *TABLES[name])
    assert table
    for row in table:
        assert np.isfinite(row.value), row.place
        # The making of servers of any kind together is the least known of all: a factor of 1.8.
        assert 0.0 <= row.uncertainty < 0.65, f"{row.place}: nobody knows a number so badly"
        assert (row.uncertainty == 0.0) == (name in SET_BY_LAW), f"{row.place}: nobody knows a number exactly"
        assert len(row.source) > 20, f"{row.place}: {row.source!r} does not lead anyone to the number"
        assert row.valid_from.year >= 2000, row.place


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("column", data.ALWAYS)
def test_a_row_of_any_table_without_value_unit_day_doubt_or_source_is_refused(
    tmp_path: Path, name: str, column: str
) -> None:
    """Each row of each table, one after the other, with one cell emptied: none gets through."""
    text = (Path(str(data.__file__)).parent / f"{name}.csv").read_text(encoding="utf-8")
    whole = list(csv.DictReader(io.StringIO(text)))
    for number in {0, len(whole) // 2, len(whole) - 1}:
        path, out = tmp_path / "cut.csv", io.StringIO()
        writer = csv.DictWriter(out, list(whole[0]))
        writer.writeheader()
        writer.writerow(whole[number] | {column: ""})
        path.write_text(out.getvalue(), encoding="utf-8")
        with pytest.raises(DataError, match=f"line 2: {column} is empty"):
            rows(name, *TABLES[name], path)


def test_no_source_of_factors_holds_a_number_of_the_world() -> None:
    """Intensities, bounds and doubts of publishers stand in publishers.csv and electricity.csv."""
    for name in names():
        tree = ast.parse(Path(str(import_module(f"thinwatt_collector.factors.{name}").__file__)).read_text("utf-8"))
        floats = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, float)}
        assert floats <= {0.0, 1.0, 1.96}, f"{name}: {floats}"


@pytest.mark.parametrize("name", ["eco2mix", "electricitymaps", "uk_carbon_intensity"])
def test_of_every_publisher_it_is_known_what_it_can_not_have_said(name: str) -> None:
    known = publishers.known(name)
    assert set(known) == set(publishers.QUANTITIES)
    assert 900.0 < known["largest"] * 3.6e6 <= 2000.0


@pytest.mark.parametrize(
    "text, told",
    [
        (GOOD.replace("10 %", ""), "line 2: uncertainty is empty"),
        (GOOD.replace("a sheet", " "), "line 2: source is empty"),
        (GOOD.replace("2024-01-01", "2024"), "line 2: Invalid isoformat"),
        (GOOD.replace(",W,", ",kWh,"), "line 2: '100 kWh'"),
        (GOOD.replace(",100,", ",a lot,"), "line 2: 'a lot W'"),
        (GOOD.replace("idle", "typical"), "quantity 'typical' is none of"),
        (GOOD.replace("uniform", "guess"), "lognormal takes 1.35"),
        (GOOD.replace("10 %,uniform", "0.5,lognormal"), "lognormal takes 1.35"),
        (GOOD.replace("a sheet", "a sheet, page 3"), "more or fewer cells"),
        ("host,,idle,100,W,2024-01-01,10 %\n", "distribution is empty"),
    ],
)
def test_a_row_that_nobody_could_check_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(HEADER + text, encoding="utf-8")
    with pytest.raises(DataError, match="line 2") as caught:
        rows("devices", DEVICES, dict(devices.UNITS), path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_columns_are_those_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(HEADER.replace("source", "sauce") + GOOD, encoding="utf-8")
    with pytest.raises(DataError, match="add 'source', remove 'sauce'"):
        rows("devices", DEVICES, dict(devices.UNITS), path)
    with pytest.raises(DataError, match="cannot be read"):
        rows("devices", DEVICES, dict(devices.UNITS), tmp_path / "none.csv")


def test_uncertainty_becomes_a_relative_standard_uncertainty(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    spreads = ("10 %,normal", "10 %,uniform", "1.35,lognormal")
    text = [GOOD.replace("host", f"h{i}").replace("10 %,uniform", s) for i, s in enumerate(spreads)]
    path.write_text(HEADER + "".join(text), encoding="utf-8")
    found = [r.uncertainty for r in rows("devices", DEVICES, dict(devices.UNITS), path)]
    draws = np.random.default_rng(1).lognormal(0.0, np.log(1.35), 200_000)
    assert found[:2] == pytest.approx([0.1 / 1.96, 0.1 / np.sqrt(3)])
    assert found[2] == pytest.approx(draws.std() / draws.mean(), rel=0.01)


def test_every_class_has_what_its_devices_need() -> None:
    table = DeviceTable.packaged()
    for kind in ("host", "thin_client", "desktop", "laptop"):
        model = table.of(kind, "")
        assert np.isfinite(model.watts).all(), kind
        assert (np.diff(model.watts) > 0).all(), f"{kind}: more load takes more power"
        assert 0.5 < model.efficiency <= 1.0
        assert model.base > 0.0
        assert 0.0 < model.u_meter < model.u_component < 1.0
        assert 0.0 < model.u_load < 1.0
    for kind in ("thin_client", "desktop", "laptop", "monitor"):
        assert (np.diff(table.of(kind, "").states) >= 0).all(), kind
    monitor = table.of("monitor", "")
    assert np.isnan(monitor.watts).all(), "a monitor has no load"
    assert np.isfinite(monitor.states).all()


@pytest.mark.parametrize(
    "named, row",
    [
        ("Dell Inc. PowerEdge R640", "PowerEdge R640"),
        ("dell poweredge r640", "PowerEdge R640"),
        ("Dell Inc. PowerEdge R6400", ""),
        ("FUJITSU PRIMERGY TX1330 M5", "TX1330 M5"),
        ("HPE ProLiant DL20 Gen10 Plus", "DL20 Gen10 Plus"),
        ("QEMU Standard PC (Q35 + ICH9, 2009)", ""),
        ("", ""),
    ],
)
def test_a_machine_finds_its_rows_by_the_name_that_it_gives_itself(named: str, row: str) -> None:
    assert devices.model_of("host", named).of == row


def test_a_model_takes_from_its_class_what_its_sheet_does_not_say() -> None:
    default, server = devices.model_of("host", ""), devices.model_of("host", "PowerEdge R640")
    assert server.watts.tolist() == [55.0, 125.0, 261.0, 469.0]
    assert server.base == default.base
    assert "res2017q3-00781" in server.sources["load_100"]
    assert np.isnan(devices.model_of("thin_client", "t540").watts).sum() == 0
    assert devices.model_of("thin_client", "HP t540").watts[[0, 3]].tolist() == [6.84, 16.5]


def test_a_class_without_rows_has_no_power() -> None:
    for kind in ("unknown", "", "toaster"):
        model = devices.model_of(kind, "PowerEdge R640")
        assert np.isnan([*model.watts, *model.states, model.base, model.efficiency, model.u_meter]).all()


def test_a_row_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text(HEADER + GOOD + GOOD, encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 3: host '' has idle twice, see .*line 2"):
        DeviceTable(rows("devices", DEVICES, dict(devices.UNITS), path))


def test_supplies() -> None:
    loads, efficiency = supply("titanium", "single")
    assert loads.tolist() == [0.1, 0.2, 0.5, 1.0]
    assert efficiency.tolist() == pytest.approx([0.90, 0.94, 0.96, 0.94])
    with pytest.raises(ValueError, match="redundant gold"):
        supply("wood")
