"""``make demo``: a campus of a year and this very machine, in one command. Ctrl-C leaves nothing running.

The campus is made up: its twelve months are written into the ledger at the first start, its inventory beside it, and
its gateways go on sending as long as this runs. Everything else is real: the collector, the agent of this machine, and
CURVE between them. All state lies in one folder; a later start goes on with it.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final
from zoneinfo import ZoneInfo

from prometheus_client.parser import text_string_to_metric_families

from thinwatt_agent import keys
from thinwatt_collector.demo import machines
from thinwatt_collector.demo.campus.__main__ import run as history
from thinwatt_collector.demo.campus.inventory import write as write_inventory
from thinwatt_collector.demo.campus.parameters import ZONE
from thinwatt_collector.demo.campus.places import university
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.serve.api import tokens
from thinwatt_collector.words import LANGUAGES, Words, language

KWH: Final = 3.6e6
READY_WITHIN: Final = 60.0
EVERY: Final = 5.0
SEED: Final = 1
ENGLISH: Final = Words("en")
MONTHS: Final = 14
"""Of history at the first start: more than a year, so that there is something of last year to compare with."""


class Stop(Exception):  # noqa: N818 - a request, no error
    """Ctrl-C or SIGTERM."""


def _stop(_: int, __: FrameType | None) -> None:
    raise Stop


def free_port(preferred: int) -> int:
    """Return ``preferred`` if nothing listens there, else a free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def make_keys(folder: Path, agents: Sequence[str]) -> None:
    """Make the pairs of keys that are not there yet, and the list of agents."""
    made = folder / "keys"
    made.mkdir(parents=True, exist_ok=True)
    for name in ("collector", *agents):
        if not (made / name).exists():
            keys.generate(made / name)
    lines = [f"{name} {(made / f'{name}.pub').read_text().strip()}\n" for name in agents]
    (made / "agents").write_text("".join(lines), encoding="utf-8")


def make_campus(folder: Path, months: int, words: Words = ENGLISH) -> None:
    """Write the campus's history and its inventory, where they are not there yet.

    Raises:
        SystemExit: the folder is that of an older demonstration.
    """
    about, ledger, inventory = (
        folder / "campus.json",
        folder / "collector" / "ledger.duckdb",
        folder / machines.INVENTORY,
    )
    if ledger.exists() and not about.exists():
        raise SystemExit(f"{ledger} is of an older demonstration: make clean removes it")
    if not ledger.exists():
        until = int(time.time()) // SLOT_SECONDS * SLOT_SECONDS
        about.write_text(json.dumps({"seed": SEED, "until": until}) + "\n", encoding="utf-8")
        print(words.counted("demo.writes", months), flush=True)
        history(ledger.parent, SEED, months, until, words)
    if not inventory.exists():
        write_inventory(inventory, university(), datetime.now(ZoneInfo(ZONE)).date())


def this_class() -> str:
    """Return the class that this machine's agent finds out by itself; "" where nothing states one."""
    told = json.loads(_call("thinwatt_agent", "once", "--json", "--seconds", "0.1"))
    return str(told.get("machine", {}).get("class") or "")


ABOUT: Final = {"virtual_machine": "demo.virtual", "": "demo.unknown"}
"""What to know of this machine's own energy, by its class."""


def _call(module: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own module, our own arguments
        [sys.executable, "-m", module, *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


@dataclass(slots=True)
class Shown:
    """One group of machines on /metrics: how many were heard, W now and J booked so far; None: it is not there."""

    devices: float | None = None
    watts: float | None = None
    joules: float | None = None


FAMILIES: Final = {
    "thinwatt_devices": "devices",
    "thinwatt_power_watts": "watts",
    "thinwatt_energy_joules": "joules",
}


def make_token(folder: Path) -> str:
    """Return the token of the technical role, made at the first start; it lies beside the keys, for its owner alone."""
    file, known = folder / "keys" / "technical.token", folder / machines.TOKENS
    if not (file.exists() and known.exists()):
        known.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(tokens.make(known, "demo", "technical") + "\n", encoding="ascii")
    return file.read_text(encoding="ascii").strip()


def shown(url: str, token: str = "") -> tuple[Shown, Shown]:
    """Return the real machines and the simulated ones, which nobody may add; with a token, those of fewer than five."""
    request = urllib.request.Request(url, headers={"X-Thinwatt-Token": token} if token else {})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - our own http://127.0.0.1
        text = response.read().decode()
    wanted = "\n".join(line for line in text.splitlines() if line.startswith(tuple(FAMILIES))) + "\n"
    groups = Shown(), Shown()
    for family in text_string_to_metric_families(wanted):
        for sample in family.samples:
            field = FAMILIES[family.name.removesuffix("_total")]
            group = groups[sample.labels.get("simulated") == "true"]
            setattr(group, field, (getattr(group, field) or 0.0) + sample.value)
    return groups


def run(folder: Path, months: int, words: Words = ENGLISH) -> int:
    """Start everything, print what there is to see, and follow it until told to stop."""
    print(words("demo.state", folder=folder), flush=True)
    make_keys(folder, [machines.THIS_MACHINE, *university().gateways])
    token = make_token(folder)
    make_campus(folder, months, words)
    agents_port, web_port = free_port(8466), free_port(9466)
    kind = this_class()
    collector, agent = machines.write(folder, agents_port, web_port)
    base = f"http://127.0.0.1:{web_port}/"
    url = base + "metrics"
    address = f"tcp://127.0.0.1:{agents_port}"
    commands = [
        ["thinwatt_collector", "run", "--config", str(collector)],
        ["thinwatt_agent", "run", "--config", str(agent)],
        ["thinwatt_collector.demo.campus.live", str(folder), "--collector", address],
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            process = subprocess.Popen([sys.executable, "-m", *command], start_new_session=True)  # noqa: S603 - our own
            running.append(process)
            _await(url, token, running)
        print(
            words(
                "demo.runs",
                **campus(words),
                base=base,
                url=url,
                folder=folder,
                token=folder / "keys" / "technical.token",
            )
        )
        if kind in ABOUT:
            print(f"  {words(ABOUT[kind])}\n")
        _follow(url, token, running, words)
    except Stop:
        print("\n" + words("demo.stopping"), flush=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end(running[1:])
        _end(running[:1])
    return 0


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    """End processes and wait for them: the agents first, so that their last rows are answered."""
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, token: str, running: list[subprocess.Popen[bytes]]) -> None:
    limit = time.monotonic() + READY_WITHIN
    while time.monotonic() < limit:
        _all_alive(running)
        try:
            shown(url, token)
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise SystemExit(f"{url} did not answer within {READY_WITHIN:.0f} s")


def _all_alive(running: list[subprocess.Popen[bytes]]) -> None:
    for process in running:
        if process.poll() is not None:
            arguments = process.args if isinstance(process.args, list) else []
            raise SystemExit(f"{' '.join(map(str, arguments[2:4]))} ended with {process.returncode}")


def campus(words: Words) -> dict[str, str]:
    """Return how many devices the campus has, and how many of them have an agent, wait for one, or get none."""
    found = Counter(device.has_agent for device in university().devices)
    counts = {"devices": found.total(), "told": found["yes"], "planned": found["planned"], "design": found["none"]}
    return {name: words.number(n) for name, n in counts.items()}


def told(group: Shown, words: Words = ENGLISH) -> str:
    """Return a group in words."""
    if not group.devices:
        return words("demo.first")
    many = words("demo.many", n=words.number(group.devices)) if group.devices > 1 else ""
    power = words("demo.power") if group.watts is None else words("demo.now", watts=words.number(group.watts, 1))
    if group.joules is None:
        return f"{many}{power}, {words('demo.energy')}"
    kwh = group.joules / KWH
    return f"{many}{power}, {words.number(kwh, 6 if kwh < 1 else 1)} kWh"


def _follow(url: str, token: str, running: list[subprocess.Popen[bytes]], words: Words) -> None:
    live = sys.stdout.isatty()
    while True:
        _all_alive(running)
        try:
            real, simulated = shown(url, token)
        except (urllib.error.URLError, OSError) as error:
            line = f"  {url}: {error}"
        else:
            line = words("demo.line", real=told(real, words), simulated=told(simulated, words))
        print(f"\r{line}\033[K" if live else line, end="" if live else "\n", flush=True)
        time.sleep(EVERY)


def main() -> int:
    """Read the call and run."""
    parser = argparse.ArgumentParser(prog="thinwatt demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("demo-state"), help="folder of everything it writes")
    parser.add_argument(
        "--months", type=int, default=MONTHS, help="of the campus before the first start (default: %(default)s)"
    )
    parser.add_argument(
        "--lang", choices=LANGUAGES, help="of what is printed; else that of LC_ALL, LC_MESSAGES or LANG"
    )
    options = parser.parse_args()
    words = Words(options.lang or language())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        return run(options.state.resolve(), options.months, words)
    except (Stop, KeyboardInterrupt):  # the second is what the ledger's engine makes of the first
        print("\n" + words("demo.stopped"))
        return 0


if __name__ == "__main__":
    sys.exit(main())
