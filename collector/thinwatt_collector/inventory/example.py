"""A small inventory to start from: every column explained, nothing in it to mend."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from thinwatt_collector.inventory.tables import COLUMNS

FILE: Final = "inventory.toml"
TOLD: Final = {
    "establishments": "a university, a school",
    "sites": "a campus: one price of electricity and one zone of the grid, unless a room says otherwise",
    "buildings": "",
    "rooms": "a room with machines; write its PUE if it is cooled for them",
    "pools": "desktops made alike, for the same people",
    "models": "hardware models; watts from a sheet or a plug meter go before any table",
    "hosts": "servers that carry desktops",
    "seats": "somewhere to work",
    "devices": "what stands on desks, one by one or as a lot with its count",
    "events": "what became of them, one line an event (events.csv)",
}
ENTRIES: Final = """
[[establishments]]
name = "Example University"

[[sites]]
name = "North campus"
establishment = "Example University"
zone = "FR"
tariff = 0.21                 # EUR/kWh
tariff_date = 2025-02-01

[[buildings]]
name = "Bât. B"
site = "North campus"

[[rooms]]
name = "Server room"
building = "Bât. B"
pue = 1.6
valid_to = 2025-08-31         # a dated change: cold aisles closed in the summer of 2025

[[rooms]]
name = "Server room"
building = "Bât. B"
pue = 1.4
valid_from = 2025-09-01

[[rooms]]
name = "B305"
building = "Bât. B"

[[rooms]]
name = "B306"
building = "Bât. B"

[[pools]]
name = "teaching"
establishment = "Example University"

[[models]]
name = "FUTRO S740"
class = "thin_client"
released = 2019-06-01
idle = 5.0                    # W at the wall, as a plug meter says
active = 9.5
embodied = 106                # kgCO2e of making, transport and end of life, without its use
lifetime = 7

[[models]]
name = "OptiPlex 3070"
class = "desktop"
released = 2019-05-01
embodied = 300
lifetime = 5

[[models]]
name = "PowerEdge R640"
class = "host"
released = 2017-07-01
embodied = 1278
lifetime = 6

[[hosts]]
name = "vdi-1"
model = "PowerEdge R640"
room = "Server room"
pool = "teaching"
purchased = 2021-03-15

[[hosts]]
name = "vdi-2"
model = "PowerEdge R640"
room = "Server room"
pool = "teaching"
purchased = 2021-03-15

[[seats]]
name = "B305 seats"
room = "B305"
pool = "teaching"
count = 25
""".strip()
DEVICES: Final = """name;model;room;seat;count;purchased;retired;agent
B305 clients;FUTRO S740;B305;B305 seats;25;01/09/2021;;planned
B306 PCs;OptiPlex 3070;B306;;20;01/09/2020;;planned
Entrance hall;FUTRO S740;B306;;2;01/09/2021;;none
"""
EVENTS: Final = """device;date;event;count;to;embodied;lifetime;cost;note
B306 PCs;01/07/2025;reconditioned;12;;24;3;80;new SSD and 16 GB
B306 PCs;15/07/2025;given;4;a school;;3;;
"""


def text() -> str:
    """Return the example's TOML file: all tables and columns in comments, then a few entries."""
    lines = [
        "# An inventory of thinwatt: what stands where, and since when. Any *.toml and *.csv of this folder is read.",
        "# A CSV file has the name of its table (devices.csv); ';' and decimal commas as French Excel writes them are",
        "# understood, and so are French names of tables and columns (appareils.csv: nom; modele; salle; achat).",
        "# A thing that changed has a line for each time: valid_from and valid_to, both days included.",
        "# The figures below are made up, but for the shape of them.",
        "#",
    ]
    for table, columns in COLUMNS.items():
        lines.append(f"# [[{table}]]" + (f"  {TOLD[table]}" if TOLD[table] else ""))
        width = max(map(len, columns))
        lines += [f"#   {n:<{width}}  {c.help}{' (needed)' if c.needed else ''}" for n, c in columns.items()]
    return "\n".join([*lines, "", ENTRIES, ""])


def write(folder: Path) -> list[Path]:
    """Write the example into a folder that has no inventory yet; an existing file is never touched.

    Raises:
        FileExistsError: a file of it is there already; then nothing is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"devices.csv": DEVICES, "events.csv": EVENTS}
    sheets = {folder / name: "\ufeff" + lines.replace("\n", "\r\n") for name, lines in tables.items()}
    files = {folder / FILE: text()} | sheets
    for path in files:
        if path.exists():
            raise FileExistsError(f"{path} is there already: name a new folder")
    for path, content in files.items():
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(content)
    return list(files)
