"""What GLPI says of a machine, whichever way it was read; and how its dates, prices and texts are understood."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

FIELDS: Final = (
    *("name", "number", "serial", "inventory_number", "entity", "location", "state", "type", "model", "maker"),
    *("bought", "used", "scrapped", "price"),
)
"""Of an asset, in the order of the mapping file's [columns]. Users and contacts are not among them: no person."""
JUNK: Final = frozenset(
    {
        *("none", "n/a", "na", "null", "unknown", "default string", "system serial number", "not specified"),
        *("to be filled by o.e.m.", "to be filled by oem", "not available", "not applicable", "oem", "chassis serial"),
        *("inconnu", "non renseigné", "aucun", "sans", "123456789", "1234567890", "invalid", "filled by o.e.m."),
    }
)
"""Serial numbers that are none: what a maker's firmware or a person writes where there is no number."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A machine of GLPI; "" and None for what it does not tell.

    Attributes:
        where: file and line, or item type and number.
        number: GLPI's own, which never changes; ``Monitor/12`` for what is no computer.
        entity: whole path, such as ``Root entity > University``.
        location: whole path.
        bought: day of purchase; ``used``: day it was put to use; ``scrapped``: day of decommission.
        price: [EUR].
        unread: fields whose text could not be read, by name.
    """

    where: str
    name: str = ""
    number: str = ""
    serial: str = ""
    inventory_number: str = ""
    entity: str = ""
    location: str = ""
    state: str = ""
    type: str = ""
    model: str = ""
    maker: str = ""
    bought: date | None = None
    used: date | None = None
    scrapped: date | None = None
    price: float | None = None
    unread: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """All that was read from one place.

    Attributes:
        source: what it was read from, in a few words that are the same in every language.
        assets: in the order of the source.
        kept_back: what could not be asked for: the id of a remark of :mod:`~.report`, and its fields.
    """

    source: str
    assets: list[Asset]
    kept_back: list[tuple[str, dict[str, object]]] = field(default_factory=list)


_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")


def tidy(value: Any) -> str:
    """Return a text of GLPI in one line: ``&gt;`` as it is meant, ``&nbsp;`` as nothing, 0 and null as nothing.

    >>> tidy("Site &#62; B305 "), tidy("R&notes"), tidy("&nbsp;"), tidy(0), tidy(None), tidy(12)
    ('Site > B305', 'R&notes', '', '', '', '12')
    """
    if value is None or isinstance(value, (bool, dict, list)) or value == 0:
        return ""
    text = str(value)
    if "&" in text:
        text = _ENTITY.sub(lambda told: html.unescape(told[0]), text)
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def asset(where: str, cells: Mapping[str, Any], month_first: bool = False) -> Asset:
    """Return the asset of some cells by field; a date or price that cannot be read is kept in ``unread``."""
    told: dict[str, Any] = {name: found for name in FIELDS if (found := tidy(cells.get(name)))}
    if plain_serial(told.get("serial", "")) == "":
        told.pop("serial", None)
    unread: dict[str, str] = {}
    days: dict[str, Any] = {}
    for name in ("bought", "used", "scrapped"):
        try:
            days[name] = day(told.pop(name, ""), month_first)
        except ValueError as error:
            unread[name] = str(error)
    try:
        price = money(told.pop("price", ""))
    except ValueError as error:
        price, unread["price"] = None, str(error)
    return Asset(where, **told, **days, price=price, unread=unread)


def plain_serial(serial: str) -> str:
    """Return a serial number as it is compared: without capitals, "" where it is none.

    >>> plain_serial("5CG0123 "), plain_serial("To Be Filled By O.E.M."), plain_serial("0000000")
    ('5cg0123', '', '')
    """
    found = serial.strip().casefold()
    return "" if found in JUNK or not found.strip("0.-_ x") else found


_DAY: Final = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?", re.ASCII)
_ISO: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T]\d{2}:\d{2}(?::\d{2})?.*)?", re.ASCII)


def day(text: str, month_first: bool = False) -> date | None:
    """Return a date of GLPI's three formats, which a person chooses in the preferences; None where there is none.

    Raises:
        ValueError: it is none; ``str()`` is what was written.

    >>> day("31-01-2025"), day("2025-01-31 10:00:00"), day("01-31-2025", month_first=True), day("0000-00-00")
    (datetime.date(2025, 1, 31), datetime.date(2025, 1, 31), datetime.date(2025, 1, 31), None)
    """
    if not text or text.startswith("0000-00-00"):
        return None
    try:
        if told := _ISO.fullmatch(text):
            return date.fromisoformat(told[1])
        if told := _DAY.fullmatch(text):
            one, two = int(told[1]), int(told[2])
            return date(int(told[3]), one if month_first else two, two if month_first else one)
    except ValueError:
        pass
    raise ValueError(text)


_MONEY: Final = re.compile(r"(\d{1,3}([ ',.])\d{3}(?:\2\d{3})*|\d{1,12})(?:([.,])(\d{1,4}))?", re.ASCII)
"""Whole part, what groups it, mark and decimals. One group behind a comma or point may as well be decimals."""


def money(text: str) -> float | None:
    """Return a price [EUR] in GLPI's formats of numbers; 0 is none, since GLPI writes it where nobody wrote a price.

    Raises:
        ValueError: it is none, or may be two: "1,234". ``str()`` is what was written.

    >>> money("1 234,56 €"), money("1,234.56"), money("640.0000"), money("0.0000")
    (1234.56, 1234.56, 640.0, None)
    """
    bare = re.sub(r"[\s\u202f\u00a0]+", " ", re.sub(r"€|EUR|euros?", "", text, flags=re.IGNORECASE)).strip()
    if not bare:
        return None
    told = _MONEY.fullmatch(bare)
    if (
        told is None
        or (told[3] and told[2] == told[3])
        or (told[2] in (",", ".") and not told[3] and bare.count(told[2]) == 1)
    ):
        raise ValueError(text)
    found = float(f"{re.sub(r'[^0-9]', '', told[1])}.{told[4] or '0'}")
    if found > 1e7:
        raise ValueError(text)
    return found or None
