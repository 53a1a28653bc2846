"""What the made-up university is like: engineering judgement, checked against the bounds that the tests hold.

The shape (rooms, timetable, fill, left-on rates, faults, growth) is that of the synthetic fleet of our domain research
of 2026-11-23; after-hours rates there follow LBNL-46930 (56 % of PCs not off at night, 2001) and Avob (26 % on at
weekends). Times of day are local, in hours; what is drawn from a lognormal has its median and sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ZONE: Final = "Europe/Paris"
HOUR: Final = 3600.0
MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Timetable:
    """Lessons of a teaching room: their hours, the share of rooms in use, and what changes that share."""

    begins: tuple[float, ...] = (8.0, 10.25, 13.5, 15.75, 18.0)
    lasts: float = 2.0
    fill: tuple[float, ...] = (0.55, 0.75, 0.75, 0.60, 0.12)
    weekday: tuple[float, ...] = (0.95, 1.0, 0.95, 1.0, 0.8, 0.0, 0.0)
    sport: float = 0.45
    """Of a Thursday afternoon, which French universities leave to sport."""
    present: float = 0.78
    video: float = 0.05
    """Share of lessons with a video conference."""
    logon: tuple[float, float] = (4 * MINUTE, 0.6)
    latest: float = 40 * MINUTE
    leave: float = 6 * MINUTE
    """Mean time before the end at which somebody logs off."""
    peak: float = 292.0
    """Sessions of a full morning, which growth is a part of."""
    daily: float = 0.5
    step: float = 60.0
    """Growth: sessions a teaching day, and those that come in January. Timetables start afresh each September."""


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """Seats that anybody may use: so many sessions a day."""

    daily: float = 160.0
    begins: tuple[float, float] = (12.5, 2.6)
    open: tuple[float, float] = (7.5, 22.0)
    lasts: tuple[float, float] = (0.9 * HOUR, 0.5)
    saturday: float = 0.2
    most: int = 8


@dataclass(frozen=True, slots=True)
class Staff:
    """Offices: arrival and departure with their spread, presence, and the days of working at home."""

    arrives: tuple[float, float] = (8.6, 0.45)
    leaves: tuple[float, float] = (17.3, 0.7)
    present: float = 0.72
    telework: float = 0.6
    telework_days: tuple[int, ...] = (2, 4)


@dataclass(frozen=True, slots=True)
class OffCampus:
    """Sessions from home: they load hosts, and no endpoint of the university. Their length is our own choice."""

    daily: float = 60.0
    periods: tuple[float, ...] = (1.0, 2.0, 1.0, 0.6, 0.3, 0.3)
    """Of teaching, exams, resits, breaks, summer and closures."""
    weekend: float = 0.8
    evening: float = 0.6
    evening_begins: tuple[float, float] = (20.5, 1.3)
    day: tuple[float, float] = (9.0, 18.0)
    lasts: tuple[float, float] = (4.5 * HOUR, 0.5)
    most: int = 240


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Logoffs that leave the desktop running with nobody in front of it."""

    share: float = 0.2
    lasts: float = 2 * HOUR
    longest: float = 12 * HOUR
    cores: float = 0.03


@dataclass(frozen=True, slots=True)
class ThinClients:
    """Who switches off by itself after a while, who never does, and whose supply or firmware is bad."""

    auto_off: float = 30 * MINUTE
    never: float = 0.05
    bad_supply: float = 0.01
    supply_watts: float = 2.4
    ghost: float = 0.005
    spread: float = 0.06
    model_spread: float = 0.05


@dataclass(frozen=True, slots=True)
class Computers:
    """Who leaves a PC on: a part of a night by its kind, times a habit of its own, Beta distributed."""

    left_rooms: float = 0.35
    left_staff: float = 0.25
    left_weekend: float = 0.26
    habit: tuple[float, float] = (1.2, 2.3)
    closing: float = 0.5
    """Share of those left on that stay so through a closure."""
    shutdown: float = 5 * MINUTE
    patch: tuple[float, float] = (3.0, 0.75)
    """Woken for updates on the second Tuesday of a month: hour, hours."""
    spread: float = 0.12
    model_spread: float = 0.1
    modelled_spread: float = 0.05


@dataclass(frozen=True, slots=True)
class Hosts:
    """``idle + span · load ** exponent`` [W], with noise; load by cores."""

    cores: float = 64.0
    memory: float = 2.0**40
    idle: float = 150.0
    span: float = 410.0
    exponent: float = 0.75
    older: float = 1.25
    noise: float = 4.0
    memory_of_noise: float = 0.8
    cores_per_session: float = 0.22
    burst: float = 1.2
    """Coefficient of variation of the cores of one session, mean of a slot: half of that of a moment."""
    uneven: float = 0.04
    video: float = 0.4
    patch: float = 1.3
    own: float = 0.1
    """Cores of a hypervisor itself."""
    boots: tuple[float, float, float] = (7.5, 5.0, 60.0)
    """Desktops started before the day: hour, seconds between two, core-seconds each."""
    kept: float = 20.0
    """Hour until which these go on, used or not; then they go but for spare ones."""
    prepared: float = 0.45
    spare: float = 0.05
    """Part of a pool's desktops that is always there, used or not: on days with lessons, and at other times."""
    density: float = 96.0
    """Desktops on a host, by the limit of vCPU per core."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. Dates are (month, day, days)."""

    meter_spread: float = 0.01

    lost: float = 0.02
    burst: float = 300.0
    sample: float = 10.0
    stuck: tuple[int, int, int] = (3, 9, 21)
    stuck_watts: float = 31.0
    fan: tuple[int, int, int] = (2, 3, 9)
    fan_watts: float = 40.0
    reboot_hour: float = 2.0
    reboot_gap: float = 600.0


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of it."""

    timetable: Timetable = Timetable()
    open_access: OpenAccess = OpenAccess()
    staff: Staff = Staff()
    off_campus: OffCampus = OffCampus()
    disconnected: Disconnected = Disconnected()
    thin_clients: ThinClients = ThinClients()
    computers: Computers = Computers()
    hosts: Hosts = Hosts()
    faults: Faults = Faults()
