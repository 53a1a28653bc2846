"""Where a ledger on PostgreSQL is, as the configuration writes it.

``postgresql://USER@HOST:PORT/DATABASE?schema=thinwatt&password_file=/etc/thinwatt/ledger.password`` is libpq's address
with two parameters of ours; all others (``sslmode``, ``sslrootcert``, ``host`` for a socket's folder …) are libpq's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

EXAMPLE: Final = "postgresql://thinwatt@localhost/thinwatt?password_file=ledger.password"
MISSING: Final = "a ledger on PostgreSQL needs psycopg: pip install 'thinwatt[collector,postgres]'"
SCHEMES: Final = ("postgresql", "postgres")
SCHEMA: Final = "thinwatt"
SECRETS: Final = {"password", "sslpassword"}
STANDS: Final = (
    "a password stands in the configuration, which many may read: write it into a file that only the collector reads "
    "(chmod 600) and name that: ?password_file=/etc/thinwatt/ledger.password; an @ that is part of something else is "
    "%40, and the key of a client's certificate is kept without a password"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a database.

    Attributes:
        server: what libpq is told, without a password.
        schema: the name space of the ledger's tables.
        password_file: what holds the password; None where libpq finds one, or the server asks for none.
    """

    server: str
    schema: str
    password_file: Path | None

    def __str__(self) -> str:
        return f"{self.server.partition('?')[0]}, schema {self.schema}"


def address_of(where: str, folder: Path = Path()) -> Address:
    """Return the address that ``where`` writes.

    Args:
        where: see the module.
        folder: what a relative ``password_file`` is relative to.

    Raises:
        ValueError: it is none, or has a password in it.

    >>> address_of("postgresql://tw@db.example.fr:5433/energy?schema=campus&sslmode=verify-full").server
    'postgresql://tw@db.example.fr:5433/energy?sslmode=verify-full'
    """
    without_password(where)
    parts = urlsplit(where)
    if parts.scheme not in SCHEMES or not where.startswith(f"{parts.scheme}://"):
        raise ValueError(f"{where!r} is no ledger: write 'duckdb:ledger.duckdb' or {EXAMPLE!r}")
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(query)
    if len(given) < len(query):
        raise ValueError("a parameter stands twice behind the '?' of the ledger: leave one")
    if ":" in parts.netloc.rpartition("@")[0] or given.keys() & SECRETS:
        raise ValueError(STANDS)
    schema = given.pop("schema", SCHEMA)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise ValueError(f"schema={schema!r} is no plain name: write small letters, digits and _")
    password = given.pop("password_file", "")
    if not parts.path.strip("/"):
        raise ValueError(f"no database stands in {where!r}: write {EXAMPLE!r}")
    place = f"{parts.scheme}://{parts.netloc}{parts.path}"  # urlunsplit drops the slashes before no host
    server = f"{place}?{urlencode(given, quote_via=quote)}" if given else place
    return Address(server, schema, folder / password if password else None)


def without_password(where: str) -> None:
    """Raise where something like USER:PASSWORD@ stands in a text, whatever else is wrong with it: errors show texts.

    Signs like / and # end a name in an address and are meant as a part of passwords all the same.

    Raises:
        ValueError: a password stands in it.
    """
    before, at, _ = where.partition("://")[2].partition("@")
    if (at and ":" in before) or any(f"{name}=" in where for name in SECRETS):
        raise ValueError(STANDS)


def text_of(address: Address) -> str:
    """Return the address as :func:`address_of` reads it."""
    ours = {"schema": address.schema}
    if address.password_file is not None:
        ours["password_file"] = str(address.password_file)
    mark = "&" if "?" in address.server else "?"
    return f"{address.server}{mark}{urlencode(ours, quote_via=quote, safe='/')}"
