"""``make demo``: from nothing to a kWh on /metrics, in one command. Ctrl-C leaves nothing running.

Everything is real but the machines: the collector with its ledger, the agent of this machine, twenty agents whose
source is ``fake``, and CURVE between them. All state lies in one folder.
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
from pathlib import Path
from types import FrameType
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from thinwatt_collector.demo import machines

KWH: Final = 3.6e6
READY_WITHIN: Final = 60.0
EVERY: Final = 5.0


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


def make_keys(folder: Path) -> None:
    """Make the pairs of keys that are not there yet, and the list of agents."""
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    if not (keys / "collector").exists():
        _call("thinwatt_collector", "keygen", str(keys / "collector"))
    lines = []
    for name in (machines.THIS_MACHINE, *(m.name for m in machines.FLEET)):
        if not (keys / name).exists():
            _call("thinwatt_agent", "keygen", str(keys / name))
        lines.append(f"{name} {(keys / f'{name}.pub').read_text().strip()}\n")
    (keys / "agents").write_text("".join(lines), encoding="utf-8")


def this_class() -> str:
    """Return the class that this machine's agent finds out by itself; "" where nothing states one."""
    told = json.loads(_call("thinwatt_agent", "once", "--json", "--seconds", "0.1"))
    return str(told.get("machine", {}).get("class") or "")


ABOUT: Final = {
    "virtual_machine": "This machine is virtual: its energy is in its host's, and none is assumed for it here.",
    "": "Nothing says what this machine is, so nothing is assumed for it where no meter can be read.",
}
"""What to know of this machine's own energy, by its class."""


def _call(module: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own module, our own arguments
        [sys.executable, "-m", module, *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def energy(url: str) -> tuple[float, float, float, int]:
    """Return kWh and gCO2e booked since the folder was made, W now, and the number of machines heard."""
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own http://127.0.0.1
        text = response.read().decode()
    sums = {"thinwatt_energy_joules": 0.0, "thinwatt_carbon_grams": 0.0, "thinwatt_power_watts": 0.0}
    devices = 0.0
    for family in text_string_to_metric_families(text):
        if family.name in sums:
            sums[family.name] = sum(s.value for s in family.samples)
        elif family.name == "thinwatt_devices":
            devices = sum(s.value for s in family.samples)
    joules, grams, watts = sums.values()
    return joules / KWH, grams, watts, int(devices)


def run(folder: Path) -> int:
    """Start everything, print what there is to see, and follow it until told to stop."""
    print(f"thinwatt demo · state in {folder} (make clean removes it)")
    print("keys …", flush=True)
    make_keys(folder)
    agents_port, web_port = free_port(8466), free_port(9466)
    kind = this_class()
    this, *made_up = machines.write(folder, agents_port, web_port)
    url = f"http://127.0.0.1:{web_port}/metrics"
    commands = [
        ["thinwatt_collector", "run", "--config", str(folder / "collector.toml")],
        ["thinwatt_agent", "run", "--config", str(this)],
        ["thinwatt_agent", "run", *(part for path in made_up for part in ("--config", str(path)))],
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            process = subprocess.Popen([sys.executable, "-m", *command], start_new_session=True)  # noqa: S603 - our own
            running.append(process)
            _await(url, running)
        print(f"""
  collector and agents run: this machine's own, and {len(machines.FLEET)} simulated ones (marked simulated="true")

  open  {url}
        {url.removesuffix("metrics")}

  Ctrl-C ends it and leaves nothing running; the energy counted stays in {folder}.
""")
        if kind in ABOUT:
            print(f"  {ABOUT[kind]}\n")
        _follow(url, running)
    except Stop:
        print("\nstopping …", flush=True)
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


def _await(url: str, running: list[subprocess.Popen[bytes]]) -> None:
    limit = time.monotonic() + READY_WITHIN
    while time.monotonic() < limit:
        _all_alive(running)
        try:
            energy(url)
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


def _follow(url: str, running: list[subprocess.Popen[bytes]]) -> None:
    live = sys.stdout.isatty()
    while True:
        _all_alive(running)
        try:
            kwh, grams, watts, devices = energy(url)
        except (urllib.error.URLError, OSError) as error:
            line = f"  {url}: {error}"
        else:
            line = f"  {devices:2d} machines · {watts:7.1f} W now · {kwh:.6f} kWh · {grams:.4f} gCO2e"
            line += " · the first rows come within a minute" if not devices else ""
        print(f"\r{line}\033[K" if live else line, end="" if live else "\n", flush=True)
        time.sleep(EVERY)


def main() -> int:
    """Read the call and run."""
    parser = argparse.ArgumentParser(prog="thinwatt demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("demo-state"), help="folder of everything it writes")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        return run(options.state.resolve())
    except Stop:
        return 0


if __name__ == "__main__":
    sys.exit(main())
