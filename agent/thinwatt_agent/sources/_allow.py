"""The commands that let the agent read what is for root only, and nobody else: a capability, no mode of a file.

The files stay as they are (CVE-2020-8694: whoever reads ``energy_uj`` often enough can tell what other processes
compute). ``deploy/thinwatt-agent.service`` is the service that they speak of.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

TO_SERVICE: Final = (
    "sudo mkdir -p /etc/systemd/system/thinwatt-agent.service.d && "
    "printf '[Service]\\nAmbientCapabilities=CAP_DAC_READ_SEARCH\\n"
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH\\n' | "
    "sudo tee /etc/systemd/system/thinwatt-agent.service.d/read.conf && "
    "sudo systemctl daemon-reload && sudo systemctl restart thinwatt-agent"
)


def by_hand() -> str:
    """Return the command that runs ``once`` of this very program with the capability, as the user who pastes it."""
    program = Path(sys.argv[0]).absolute()
    called = [str(program)] if program.name == "thinwatt-agent" else [sys.executable, "-m", "thinwatt_agent"]
    return (
        "sudo setpriv --reuid=$(id -u) --regid=$(id -g) --init-groups --inh-caps=+dac_read_search "
        f"--ambient-caps=+dac_read_search {shlex.join(called)} once"
    )
