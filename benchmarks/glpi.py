"""A GLPI export of 5,000 computers, the whole command: read, compared, told, written.

The export is what French sites have: Windows-1252, ``;``, accents, decimal commas, days first, serials missing or
junk, names twice, virtual machines, stock, locations written in two ways. Three runs of the command, each a process of
its own, as a person has them: a first dry run, a first ``--write``, and a dry run a month later, when one computer in
twenty has moved, been renamed, scrapped or replaced. Beside them the command when it reads nothing.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.measure import Figure, parser, report, spread

COMPUTERS: Final = 5_000
AIM: Final = 2.0
"""Of the whole command, which has one thread [CPU-s]: on a machine of its own the clock says the same."""
HEAD: Final = (
    "Nom;Entité;Statut;Fabricant;Numéro de série;Type;Modèle;Lieu;ID;"
    "Informations financières et administratives - Date d'achat;Informations financières et administratives - Valeur"
)
Row = list[str]


def main() -> None:
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        rows = campus()
        (folder / "first.csv").write_bytes(export(rows))
        (folder / "later.csv").write_bytes(export(a_month_later(rows)))
        size = (folder / "first.csv").stat().st_size
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in TOLD}
        for n in range(3 if options.quick else 9):
            first = [f"inventory-{n}", "--csv", "first.csv", "--day", "2026-09-01"]
            later = [f"inventory-{n}", "--csv", "later.csv", "--day", "2026-10-01"]
            for name, words in zip(TOLD, (first, [*first, "--write"], later, ["--mapping-example"]), strict=True):
                found[name].append(timed(folder, words))
    figures = []
    for name, text in TOLD.items():
        wall, cpu = (spread([each[i] for each in found[name]]) for i in (0, 1))
        aim = f"≤ {AIM:g}" if name != "nothing" else ""
        figures.append(Figure(text, cpu, "CPU-s", aim, cpu.high <= AIM if aim else None, "the limit"))
        figures.append(Figure(f"{text}, by the clock of a shared machine", wall, "s", "", None, "the same"))
    report("glpi", figures, [f"the whole process; {COMPUTERS:,} computers, an export of {size / 1e6:.1f} MB"])


TOLD: Final = {
    "first": "a first dry run",
    "write": "a first --write",
    "later": "a dry run a month later",
    "nothing": "the command that reads nothing",
}


def timed(folder: Path, words: Sequence[str]) -> tuple[float, float]:
    """Return how long the command takes by the clock, and of CPU [s]."""
    command = [sys.executable, "-m", "thinwatt_collector", "inventory", "glpi", *words, "--language", "fr"]
    used, begun = os.times(), time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})
    took, now = time.perf_counter() - begun, os.times()
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return took, cpu


def campus() -> list[Row]:
    """Return the rows of an export, always the same."""
    draw = random.Random(7)
    models = [f"OptiPlex {3000 + 10 * n}" for n in range(30)] + [f"Latitude {5400 + 10 * n}" for n in range(30)]
    rows = []
    for n in range(COMPUTERS):
        model = draw.choice(models)
        room = draw.randint(100, 160)
        building = draw.choice(["Bât. A", "Bât. B", "Bât. C", "Bat C", "Bibliothèque"])
        rows.append(
            [
                f"PC-É{n % 4990:04d}",
                f"Entité racine > Université > {draw.choice(['UFR Lettres', 'UFR Sciences', 'DSI'])}",
                draw.choices(["En service", "En stock", "Réformé", "Prêté"], [90, 4, 4, 2])[0],
                "Dell Inc.",
                "" if draw.random() < 0.125 else draw.choice([f"5CG{n:06d}", f"5CG{n:06d}", "To be filled by O.E.M."]),
                draw.choices(["Portable" if "Lat" in model else "Ordinateur de bureau", "VMware"], [97, 3])[0],
                model,
                " > ".join([f"Campus {draw.choice(['Nord', 'Sud'])}", building, f"Salle {draw.choice('ABC')}{room}"]),
                str(n + 1),
                f"{draw.randint(1, 28):02d}-{draw.randint(1, 12):02d}-{draw.randint(2015, 2025)}",
                f'"{draw.randint(300, 1400)},{draw.randint(0, 99):02d}"',
            ]
        )
    return rows


def a_month_later(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the export of a month later."""
    draw = random.Random(8)
    found = [list(row) for row in rows]
    for row in draw.sample(found, COMPUTERS // 20):
        what = draw.choice(["room", "name", "state", "new"])
        if what == "room":
            row[7] = row[7].rpartition(" > ")[0] + f" > Salle D{draw.randint(100, 160)}"
        elif what == "name":
            row[0] = f"{row[0]}-BIS"
        elif what == "state":
            row[2] = draw.choice(["En stock", "Réformé"])
        else:
            row[4], row[8] = f"NEW{row[8]}", str(10_000 + int(row[8]))
    return found


def export(rows: Sequence[Row]) -> bytes:
    """Return an export as an office program of Windows saved it."""
    return "\r\n".join([HEAD, *(";".join(row) for row in rows), ""]).encode("cp1252")


if __name__ == "__main__":
    main()
