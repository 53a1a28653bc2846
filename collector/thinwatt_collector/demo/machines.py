"""The made-up machines of the demonstration and the configuration files of everyone in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Machine:
    """A made-up machine: name, class and model; its power follows from the name (source ``fake``)."""

    name: str
    kind: str
    model: str


FLEET: Final = (
    *(Machine(f"sim-vdi-host-{i}", "host", "PowerEdge R640") for i in range(1, 4)),
    *(Machine(f"sim-thin-client-{i:02d}", "thin_client", "FUTRO S740") for i in range(1, 10)),
    *(Machine(f"sim-pc-{i:02d}", "desktop", "simulated tower") for i in range(1, 9)),
)
"""Twenty machines: three hosts, nine thin clients, eight PCs."""

THIS_MACHINE: Final = "this-machine"
INTERVAL: Final = "2 s"
FRAME: Final = "10 s"


def collector_toml(agents_port: int, web_port: int) -> str:
    """Return the collector's configuration. Device series are shown: here everyone is the technical role."""
    return f"""\
[collector]
state = "collector"

[link]
bind = "tcp://127.0.0.1:{agents_port}"
secret_key = "keys/collector"
agents = "keys/agents"

[ledger]
ledger = "duckdb:collector/ledger.duckdb"
commit_every = "5 s"

[web]
listen = "127.0.0.1:{web_port}"

[metrics]
per_device = "all"
stale_after = "2 min"

[log]
level = "warning"
"""


def agent_toml(machine: Machine, agents_port: int) -> str:
    """Return the configuration of a machine's agent."""
    name = machine.name
    lines = [
        "[agent]",
        f'state = "../agents/{name}"',
        f'secret_key = "../keys/{name}"',
        f'interval = "{INTERVAL}"',
        f'frame = "{FRAME}"',
    ]
    if name != THIS_MACHINE:  # this one says itself what it is
        lines += [f'class = "{machine.kind}"', f'model = "{machine.model}"']
    lines += ["", "[log]", 'level = "warning"']
    lines += [
        "",
        "[[collectors]]",
        f'address = "tcp://127.0.0.1:{agents_port}"',
        'server_key = "../keys/collector.pub"',
    ]
    if name != THIS_MACHINE:
        lines += ["", "[sources.fake]", "enabled = true", f'name = "{name}"', f'class = "{machine.kind}"']
    return "\n".join(lines) + "\n"


def write(folder: Path, agents_port: int, web_port: int) -> list[Path]:
    """Write all configuration files below ``folder`` and return those of the agents, this machine's own first."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "collector.toml").write_text(collector_toml(agents_port, web_port), encoding="utf-8")
    files = []
    for machine in (Machine(THIS_MACHINE, "", ""), *FLEET):
        path = folder / "config" / f"{machine.name}.toml"
        path.write_text(agent_toml(machine, agents_port), encoding="utf-8")
        files.append(path)
    return files
