"""A CSV export says the same, however it was saved."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thinwatt_collector.inventory.glpi import assets
from thinwatt_collector.inventory.glpi.assets import FIELDS, Asset, asset, day, money
from thinwatt_collector.inventory.glpi.export import GROUPED, HEADINGS, GlpiError, parse

DATES = ("bought", "used", "scrapped")
TEXTS = [name for name in FIELDS if name not in (*DATES, "price")]
GROUPS = ("Informations financières et administratives", "Financial and administrative information")
FORMATS = {"iso": "%Y-%m-%d", "day-first": "%d-%m-%Y", "month-first": "%m-%d-%Y", "slashes": "%d/%m/%Y"}
# Of what both encodings have: no two of these make a letter of UTF-8 in Windows-1252.
PLAIN = st.text(st.sampled_from("abzBPC019éèàçôÉ -_.;,|\"'\n\t>&/()"), max_size=12)
WIDE = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn"]), max_size=12)


def written(price: float, style: str) -> str:
    text = f"{price:,.2f}"
    return {
        "french": text.replace(",", " ").replace(".", ","),
        "english": text,
        "spaced": text.replace(",", " "),
        "bare": f"{price:.2f}",
        "comma": f"{price:.2f}".replace(".", ","),
        "euros": text.replace(",", "\u202f").replace(".", ",") + " €",
        "german": text.translate(str.maketrans(",.", ".,")),
    }[style]


@st.composite
def rows(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(0, 4))):
        row: dict[str, Any] = {name: draw(texts) for name in TEXTS}
        row["name"] = f"PC{row['name']}"
        row |= {name: draw(st.none() | st.dates(date(1990, 1, 1), date(2040, 1, 1))) for name in DATES}
        row["price"] = draw(st.none() | st.integers(1, 999_999_999).map(lambda cents: cents / 100))
        found.append(row)
    return found


@given(data=st.data())
def test_what_is_written_is_read_back_in_any_dialect(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(["utf-8-sig", "utf-8", "cp1252", "utf-16"]))
    table = data.draw(rows(PLAIN if encoding == "cp1252" else PLAIN | WIDE))
    order = data.draw(st.permutations(FIELDS))
    french = data.draw(st.booleans())
    dates = data.draw(st.sampled_from(sorted(FORMATS)))
    style = data.draw(st.sampled_from(["french", "english", "spaced", "bare", "comma", "euros", "german"]))
    if encoding == "cp1252" and style == "euros":
        style = "french"
    grouped = data.draw(st.booleans())
    out = io.StringIO()
    ends = data.draw(st.sampled_from(["\r\n", "\n", "\r"]))
    minimal = data.draw(st.booleans()) and ends != "\r"  # Python's writer leaves a line break bare that is not its own
    writer = csv.writer(
        out,
        delimiter=data.draw(st.sampled_from(";,\t")),
        quoting=csv.QUOTE_MINIMAL if minimal else csv.QUOTE_ALL,
        lineterminator=ends,
    )
    headings = {name: of[0 if french else min(1, len(of) - 1)] for name, of in HEADINGS.items()}
    prefix = f"{GROUPS[0 if french else 1]} - " if grouped else ""
    writer.writerow([(prefix if name in GROUPED else "") + headings[name] for name in order])
    for row in table:
        cells = {name: row[name] for name in TEXTS}
        cells |= {name: row[name].strftime(FORMATS[dates]) if row[name] else "" for name in DATES}
        cells["price"] = written(row["price"], style) if row["price"] else ""
        writer.writerow([cells[name] for name in order])
    read = parse(out.getvalue().encode(encoding), "glpi.csv", {}, dates == "month-first")
    wanted = []
    for row in table:
        told = asset("", {name: row[name] for name in TEXTS})
        wanted.append(told.__class__(**{**_fields(told), **{n: row[n] for n in (*DATES, "price")}}))
    assert [_fields(found) for found in read.assets] == [_fields(one) for one in wanted]
    assert not read.kept_back


def _fields(of: Asset) -> dict[str, Any]:
    return {name: getattr(of, name) for name in FIELDS} | {"where": ""}


@given(data=st.binary(max_size=400))
@example(b"Nom;ID\n\x81\x8d;1\n")
@example(b"sep=;\nName;ID\n")
@example(b'Name;ID\n"open;1\n')
@example(b"Name;Date of purchase\nx;99-99-9999\n")
@example(b"\xff\xfeN")
def test_no_bytes_are_too_much(data: bytes) -> None:
    for content in (data, b"Name;ID;Location;Value\n" + data):
        try:
            read = parse(content, "x.csv", {})
        except GlpiError:
            assert content is data
        else:
            assert all(one.where.startswith("x.csv:") for one in read.assets)


def test_columns_of_something_else_are_not_taken_for_these() -> None:
    text = "Nom;Système d'exploitation - Nom;Type;Composants - Type\nPC-1;Windows;Notebook;x\n"
    (found,) = parse(text.encode(), "x.csv", {}).assets
    assert (found.name, found.type) == ("PC-1", "Notebook")


def test_a_site_may_call_a_column_otherwise() -> None:
    text = "Nom;Étiquette;Lieu\nDUPONT-PC;INV-1;Nord\n"
    (found,) = parse(text.encode(), "x.csv", {"name": "etiquette"}).assets
    assert (found.name, found.location) == ("INV-1", "Nord")
    with pytest.raises(
        GlpiError, match=r"glpi\.toml: \[columns\] name = 'Etikette', .*x\.csv:1.*did you mean 'Étiquette'"
    ):
        parse(text.encode(), "x.csv", {"name": "Etikette"}, mapping="glpi.toml")


@pytest.mark.parametrize(
    "data, text",
    [
        (b"", r"no column tells the name; its headings are none"),
        (b"Ordinateur;Lieu\nx;y\n", r"its headings are 'Ordinateur', 'Lieu'.*\[columns\] name"),
        (b"PK\x03\x04rest", r"is a spreadsheet, not CSV"),
    ],
)
def test_what_is_no_export_is_told(data: bytes, text: str) -> None:
    with pytest.raises(GlpiError, match=text):
        parse(data, "x.csv", {})


def test_rows_that_lost_their_shape_are_left_out_and_told() -> None:
    read = parse(b'Nom;Lieu\nPC-1;Nord;B305\nPC-2;19" Nord\n"PC-3;Nord\nPC-4;Nord\n', "x.csv", {})
    assert [(one.name, one.location) for one in read.assets] == [("PC-2", '19" Nord')]
    assert [(what, fields.get("line", fields.get("lines"))) for what, fields in read.kept_back] == [
        ("csv-broken", 4),
        ("torn", "2"),
        ("no-columns", None),
    ]


def test_a_cell_that_cannot_be_read_costs_only_itself() -> None:
    text = "Nom;Date d'achat;Valeur\nPC-1;31-31-2020;1,234\nPC-2;2020-02-30;640,00 $\nPC-3;05-06-2020;640\n"
    one, two, three = parse(text.encode(), "x.csv", {}).assets
    assert one.unread == {"bought": "31-31-2020", "price": "1,234"}
    assert two.unread == {"bought": "2020-02-30", "price": "640,00 $"}
    assert (three.bought, three.price, three.unread) == (date(2020, 6, 5), 640.0, {})


@pytest.mark.parametrize("text", ["1,234", "1.234", "12 34,5", "1.2.3", "-5", "abc", "1e9", "99999999999", "1,2345,6"])
def test_a_number_that_may_be_two_or_none_is_no_price(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        money(text)


@pytest.mark.parametrize(
    "text, found", [("0,00", None), ("", None), ("0.5", 0.5), ("1 000", 1000.0), ("1.234.567,8", 1234567.8)]
)
def test_a_price_of_nothing_is_not_known(text: str, found: float | None) -> None:
    assert money(text) == found


def test_the_order_of_day_and_month_is_told_by_the_mapping_file() -> None:
    assert day("03-04-2020") == date(2020, 4, 3)
    assert day("03-04-2020", month_first=True) == date(2020, 3, 4)
    with pytest.raises(ValueError, match="25-12-2020"):
        day("25-12-2020", month_first=True)


@pytest.mark.parametrize("serial", [*sorted(assets.JUNK), "0", "00000000", "xxxxxxx", "...", "N/A", "Default String"])
def test_what_firmware_writes_without_a_serial_number_is_none(serial: str) -> None:
    assert asset("", {"name": "x", "serial": serial}).serial == ""
