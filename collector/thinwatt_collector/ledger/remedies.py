"""What to do about what a PostgreSQL server or libpq says: its words name what is wrong, seldom what to change.

Before there is a connection libpq hands on a text and no code, in the server's language; so the two languages in which
thinwatt's sites write are known here. Afterwards SQLSTATE says it in any language
(https://www.postgresql.org/docs/15/errcodes-appendix.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

OF_CONNECTIONS: Final = (
    (
        r"certificate verify failed",
        (
            "its certificate is not good, or of another authority than those in sslrootcert: name the file with the "
            "certificate of the authority that signed the server's, sslrootcert=/etc/thinwatt/db-ca.pem"
        ),
    ),
    (
        r"root certificate file .* does not exist",
        (
            "name the file with the certificate of the authority that signed the server's: "
            "sslrootcert=/etc/thinwatt/db-ca.pem"
        ),
    ),
    (
        r"server certificate for .* does not match",
        (
            "write a name that stands in its certificate as the host, and where no name server knows that, "
            "hostaddr= with its IP address"
        ),
    ),
    (
        r"server does not support SSL",
        (
            "have its administrator switch TLS on (ssl = on in postgresql.conf); sslmode=disable speaks in "
            "the clear, for a network that nobody else reads"
        ),
    ),
    (
        r"pg_hba\.conf",
        (
            "have its administrator let this machine in with a line of pg_hba.conf, 'hostssl {database} {role} ADDRESS "
            "scram-sha-256', and SELECT pg_reload_conf(); where it says no encryption, write sslmode=verify-full"
        ),
    ),
    (
        r"no password supplied",
        "write the password of the role {role} into a file (chmod 600) and name that: password_file=ledger.password",
    ),
    (
        r"password authentication failed|authentification par mot de passe échouée",
        "write the password of the role {role} into {password}, or set it on the server: \\password {role} in psql",
    ),
    (
        r'database ".*" does not exist|base de données .* n\'existe pas',
        "have its administrator make it: CREATE DATABASE {database} OWNER {role} ENCODING 'UTF8' TEMPLATE template0",
    ),
    (
        r'role ".*" does not exist|rôle .* n\'existe pas',
        "write a role that is there before the @, or have its administrator make it: CREATE ROLE {role} LOGIN",
    ),
    (
        r"too many (connections|clients)|connection slots are reserved|trop de (connexions|clients)",
        (
            "a collector takes one, and one more for each question: raise max_connections, or the CONNECTION LIMIT of "
            "{role}"
        ),
    ),
    (
        r"session is read-only|server is in hot standby",
        "of the servers in the address none takes writes: name the primary",
    ),
    (
        r"starting up|shutting down|in recovery mode|démarrage|arrêter|restauration",
        "it is not ready yet, or no longer: try again when it is",
    ),
    (
        r"refused|timed? ?out|timeout expired|unreachable|No route|No such file or directory\s+Is the server",
        (
            "see that it runs and listens there (listen_addresses and port in postgresql.conf, the firewall between): "
            "pg_isready --host={host} --port={port}"
        ),
    ),
    (r"resolve host|translate host name", "write the name or the IP address of the server as the host"),
)
"""What libpq says → what to do about it; the first that fits."""

FULL: Final = "make room on the server's disk: what was not booked is sent again, it goes on by itself"
READ_ONLY: Final = (
    "it is a standby, or the role or the database is read-only (default_transaction_read_only): a collector writes, "
    "name the primary; of several, host1,host2 and target_session_attrs=read-write find it"
)
RIGHTS: Final = (
    "the role {role} makes, writes and upgrades the tables of its schema: have the server's administrator give it one, "
    "CREATE SCHEMA {schema} AUTHORIZATION {role}; one that is there: ALTER SCHEMA {schema} OWNER TO {role}, its tables "
    "as well"
)
OF_STATES: Final = {"53100": FULL, "25006": READ_ONLY, "42501": RIGHTS, "3F000": RIGHTS}
"""SQLSTATE → what to do about it."""


def of_connection(said: str, told: Mapping[str, str], password_file: str) -> str:
    """Return what libpq said of a connection that did not come about, and what to do.

    Args:
        said: in its lines.
        told: what libpq was told: host, port, user, dbname.
        password_file: where the password is read from, "" for nowhere of ours.

    >>> of_connection('FATAL:  database "e" does not exist', {"dbname": "e", "user": "tw"}, "")
    'FATAL:  database "e" does not exist: have its administrator make it: CREATE DATABASE e OWNER tw ENCODING ...
    """
    known = {
        "host": told.get("host") or "localhost",
        "port": told.get("port") or "5432",
        "role": told.get("user") or "thinwatt",
        "database": told.get("dbname") or "thinwatt",
        "password": password_file or "~/.pgpass",
    }
    found = next((remedy for pattern, remedy in OF_CONNECTIONS if re.search(pattern, said)), "")
    return _together(_first(said), found.format(**known))


def of_statement(said: str, state: str | None, schema: str, role: str) -> str:
    """Return what the server said of a statement, and what to do.

    Args:
        said: in its lines.
        state: SQLSTATE, None where there is none.
        schema: of the ledger.
        role: of the connection.
    """
    return _together(_first(said), OF_STATES.get(state or "", "").format(schema=schema, role=role))


def _first(said: str) -> str:
    """Return the first line; of several servers, what was said of each."""
    each = [line.partition("hostaddr: ")[2].partition(": ")[2] for line in said.splitlines() if line[:7] == "- host:"]
    return ("; ".join(each) or said.splitlines()[0])[:300] if said else "it says nothing"


def _together(said: str, remedy: str) -> str:
    return f"{said}: {remedy}" if remedy else said
