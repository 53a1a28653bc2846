"""Who is there: hosts, pools, rooms, seats with their thin client, PCs; names tell what they are.

Each building has a gateway, an agent that speaks for all devices in it: ``sim-bat-a/tc-tp-01-01``. Some rooms have no
agent yet, and some none by design: their devices draw as all others do, and the ledger has no row of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

PREFIX: Final = "sim-"
TEACHING, OPEN, OFFICES = "teaching", "open", "offices"
HasAgent = Literal["yes", "planned", "none"]
"""``none``: by design."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Desktops of one kind."""

    name: str
    desktops: int
    vcpus: int = 4
    memory: float = 8 * 2.0**30


@dataclass(frozen=True, slots=True)
class Room:
    """A room and what stands in it; ``use`` tells who comes, ``pool`` whose desktops its seats show."""

    name: str
    building: str
    use: str
    kind: str
    model: str
    count: int
    basis: str
    pool: str = ""
    has_agent: HasAgent = "yes"


@dataclass(frozen=True, slots=True)
class Device:
    """A device under its whole name, and where its figures come from (``basis``), if somebody speaks for it."""

    name: str
    kind: str
    model: str
    room: str
    basis: str
    has_agent: HasAgent = "yes"

    @property
    def agent(self) -> str:
        """Return the gateway that speaks for it."""
        return self.name.partition("/")[0]

    @property
    def own(self) -> str:
        """Return its name among the gateway's devices."""
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Places:
    """The university. Devices are numbered hosts first, then room by room."""

    hosts: tuple[Device, ...]
    rooms: tuple[Room, ...]
    devices: tuple[Device, ...]
    pools: tuple[Pool, ...]

    @property
    def spoken_for(self) -> tuple[int, ...]:
        """Return the numbers of the devices of which some agent tells."""
        return tuple(i for i, device in enumerate(self.devices) if device.has_agent == "yes")

    @property
    def gateways(self) -> tuple[str, ...]:
        """Return the agents that speak for devices."""
        return tuple(dict.fromkeys(device.agent for device in self.devices))


DISTANT: Final = "distance"
POOLS: Final = (Pool("tp", 500), Pool("libre-service", 100), Pool("personnel", 150), Pool(DISTANT, 120))
HOST_ROOM, HOST_BUILDING, HOST_POOL = "dc-1", "bat-e", "vdi"
OLDER_HOST: Final = 5
"""The host of an older model, by its place."""
_HOSTS: Final = ("serveur VDI 2024", "serveur VDI 2021")
_DRAWN_AS: Final = MappingProxyType({"tour de bureau": "simulated tower"})
_WITHOUT: Final = MappingProxyType[str, HasAgent](
    {**dict.fromkeys(("tp-19", "tp-20", "adm-10", "pc-08"), "planned"), "bu-4": "none"}
)
"""Rooms without an agent: four wait for one, and the library's last row of public terminals gets none."""


def drawn_as(model: str) -> str:
    """Return the name by which chance draws a model: called otherwise, it leaves the campus of a seed the same."""
    return _DRAWN_AS.get(model, model)


def university() -> Places:
    """Return the university: 6 hosts, 20 rooms of 25 seats, 100 open seats, 150 in offices, 300 PCs in 10 rooms."""
    hosts = tuple(
        Device(f"{PREFIX}{HOST_BUILDING}/host-{i + 1}", "host", _HOSTS[i == OLDER_HOST], HOST_ROOM, "measured")
        for i in range(6)
    )
    thin = "FUTRO S740"
    rooms = [
        Room(f"tp-{i:02d}", f"bat-{'abcd'[(i - 1) // 5]}", TEACHING, "thin_client", thin, 25, _metered(i, 2), "tp")
        for i in range(1, 21)
    ]
    rooms += [Room(f"bu-{i}", "bu", OPEN, "thin_client", "t540", 25, "assumed", "libre-service") for i in range(1, 5)]
    rooms += [
        Room(f"adm-{i:02d}", "adm", OFFICES, "thin_client", thin, 15, "assumed", "personnel") for i in range(1, 11)
    ]
    rooms += [
        Room(
            f"pc-{i:02d}",
            "bat-e" if i <= 8 else "adm",
            TEACHING if i <= 8 else OFFICES,
            "desktop",
            "tour de bureau",
            30,
            "measured" if i == 1 else "modelled",
        )
        for i in range(1, 11)
    ]
    rooms = [replace(room, has_agent=_WITHOUT.get(room.name, "yes")) for room in rooms]
    devices = list(hosts)
    for room in rooms:
        short = "tc" if room.kind == "thin_client" else "pc"
        for i in range(1, room.count + 1):
            place = room.name.removeprefix("pc-") if short == "pc" else room.name
            name = f"{PREFIX}{room.building}/{short}-{place}-{i:02d}"
            devices.append(Device(name, room.kind, room.model, room.name, room.basis, room.has_agent))
    return Places(hosts, tuple(rooms), tuple(devices), POOLS)


def _metered(number: int, first: int) -> str:
    return "measured" if number <= first else "assumed"
