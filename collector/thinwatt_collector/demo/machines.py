"""The configuration files of the demonstration: those of the collector and of this machine's agent."""

from __future__ import annotations

from pathlib import Path
from typing import Final

THIS_MACHINE: Final = "this-machine"
INTERVAL: Final = "2 s"
FRAME: Final = "10 s"
TOKENS: Final = "tokens.toml"
INVENTORY: Final = "inventory"
"""The folder of the campus's inventory, beside the configuration."""


def collector_toml(agents_port: int, web_port: int) -> str:
    """Return the collector's configuration. Endpoints one by one are for the token of the demonstration (law 7)."""
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

[api]
tokens = "{TOKENS}"

[metrics]
per_device = "all"
stale_after = "2 min"

[inventory]
folder = "{INVENTORY}"

[log]
level = "warning"
"""


def agent_toml(agents_port: int) -> str:
    """Return the configuration of this machine's agent, which says itself what it is."""
    return f"""\
[agent]
state = "../agents/{THIS_MACHINE}"
secret_key = "../keys/{THIS_MACHINE}"
interval = "{INTERVAL}"
frame = "{FRAME}"

[log]
level = "warning"

[[collectors]]
address = "tcp://127.0.0.1:{agents_port}"
server_key = "../keys/collector.pub"
"""


def write(folder: Path, agents_port: int, web_port: int) -> tuple[Path, Path]:
    """Write the configuration files below ``folder`` and return the collector's and the agent's."""
    collector, agent = folder / "collector.toml", folder / "config" / f"{THIS_MACHINE}.toml"
    agent.parent.mkdir(parents=True, exist_ok=True)
    collector.write_text(collector_toml(agents_port, web_port), encoding="utf-8")
    agent.write_text(agent_toml(agents_port), encoding="utf-8")
    return collector, agent
