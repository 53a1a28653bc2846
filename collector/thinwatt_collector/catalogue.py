"""Every metric: name, kind, unit, help, labels, and how many series it can have. docs/metrics.md is made from it.

python -m thinwatt_collector.catalogue > docs/metrics.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TextIO

Kind = Literal["counter", "gauge", "info", "histogram"]
UNITS: Final = ("joules", "grams", "seconds", "watts", "bytes")
"""Base units; a metric of one of them says so at the end of its name (before ``_total``)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: of its samples, so with ``_total`` if it is a counter.
        kind: ``info`` is a gauge of 1 whose labels are the message.
        unit: one of :data:`UNITS`, or "" for a count.
        help: one sentence.
        labels: their names, in the order in which they are written.
        cardinality: how many series, in words that name what it grows with.
        own: of the collector itself, through the registry of prometheus-client; its counters begin with the process.
        nan: NaN says something and is shown; otherwise a row without a number is left out.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    cardinality: str
    own: bool = False
    nan: bool = False

    @property
    def family(self) -> str:
        """Name of the family in OpenMetrics: without ``_total`` or ``_info``."""
        ending = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return self.name.removesuffix(ending)


LABELS: Final = MappingProxyType(
    {
        "class": "host, thin_client, desktop, laptop, monitor, virtual_machine (its energy is in its host's, so it has "
        "none of its own) or what the agent's configuration says",
        "basis": "measured (a meter of the whole device), modelled (component counters), assumed (defaults); of "
        "endpoints that are not shown one by one also mixed: bases that are not told apart",
        "device": "name in the allow-list, with `/device` behind it for what a gateway reports for",
        "source": "what the reading comes from: rapl, hwmon, battery, textfile …",
        "part": "one meter of a source; of a host's energy: idle and dynamic of each pool, and of no pool idle "
        "(reserved by nobody), overhead (the hypervisor's own), unattributed (nobody can say)",
        "pool": "desktops made alike; those of less than five on a host are `other`; empty for what no pool carries",
        "policy": "how a host's energy is shared: reservation, activity, equal or marginal; policies are never added",
        "scope": "what the meter covers: wall, node, component",
        "method": "how carbon was worked out; methods are never added",
        "agent": "name in the allow-list",
        "version": "of the program",
        "simulated": "true for a made-up machine",
        "model": "hardware model as the machine names itself",
        "way": "what is brought to the wall: components (their counters) or load",
        "result": "frame: booked, duplicate, hole, elsewhere (by another collector), postponed (the agent sends it "
        "again); commit: committed, failed",
        "reason": "why it was not taken",
        "event": "wrap (of a register), restart (of what counts), failed (a bad read), gap (none for too long)",
    }
)

CLASSES: Final = "one a class of device"
PRESENT: Final = "one a device that is present and may be shown alone"
AGENTS: Final = "one an agent that is present"
SOURCES: Final = "one a source of an agent that is present"
ONE: Final = "one"


def _catalogue(metrics: Iterable[Metric]) -> Mapping[str, Metric]:
    found = {}
    for metric in metrics:
        if metric.name in found:
            raise ValueError(f"{metric.name} stands twice in the catalogue")
        found[metric.name] = metric
    return MappingProxyType(found)


CATALOGUE: Final = _catalogue(
    (
        Metric(
            "thinwatt_energy_joules_total",
            "counter",
            "joules",
            "Energy of all devices of a class, booked in the ledger; stays when devices leave. That of a virtual "
            "machine is in its host's.",
            ("class", "basis", "simulated"),
            "classes × 4 × 2",
        ),
        Metric(
            "thinwatt_carbon_grams_total",
            "counter",
            "grams",
            "CO2e of that energy, with the factor known when it was booked.",
            ("class", "method", "simulated"),
            "classes × methods × 2",
        ),
        Metric(
            "thinwatt_covered_seconds_total",
            "counter",
            "seconds",
            "Device time for which the energy is known.",
            ("class", "simulated"),
            CLASSES,
        ),
        Metric(
            "thinwatt_gap_seconds_total",
            "counter",
            "seconds",
            "Device time for which nobody could measure or model the energy; it is not counted as zero.",
            ("class", "simulated"),
            CLASSES,
        ),
        Metric(
            "thinwatt_device_energy_joules_total",
            "counter",
            "joules",
            "Energy of one device, booked; the finest basis wins at each moment.",
            ("device", "class", "basis", "simulated"),
            f"{PRESENT} × up to 3",
        ),
        Metric(
            "thinwatt_device_covered_seconds_total",
            "counter",
            "seconds",
            "Time for which the energy of one device is known.",
            ("device", "simulated"),
            PRESENT,
        ),
        Metric(
            "thinwatt_device_gap_seconds_total",
            "counter",
            "seconds",
            "Time for which nobody could measure or model the energy of one device.",
            ("device", "simulated"),
            PRESENT,
        ),
        Metric(
            "thinwatt_source_energy_joules_total",
            "counter",
            "joules",
            "Energy that one meter of a device counted, whether it won or not; meters overlap, so never add them.",
            ("device", "source", "part", "scope", "basis", "simulated"),
            f"{PRESENT} × its meters",
        ),
        Metric(
            "thinwatt_shared_energy_joules_total",
            "counter",
            "joules",
            "Where the energy of a host that carries desktops went, by pool; all parts of a host add up to its energy.",
            ("device", "pool", "part", "policy", "basis", "simulated"),
            f"{PRESENT} and carries desktops × (2 × pools + 3) × up to 3",
        ),
        Metric(
            "thinwatt_power_watts",
            "gauge",
            "watts",
            "Latest power of the present devices of a class: the mean of each one's newest frame.",
            ("class", "simulated"),
            CLASSES,
        ),
        Metric(
            "thinwatt_power_uncertainty_watts",
            "gauge",
            "watts",
            "Standard uncertainty of thinwatt_power_watts: ±1.96 times this is its 95 % interval.",
            ("class", "simulated"),
            CLASSES,
        ),
        Metric(
            "thinwatt_device_power_watts",
            "gauge",
            "watts",
            "Latest power of one device: the mean of its newest frame; absent when the device is silent.",
            ("device", "class", "basis", "simulated"),
            PRESENT,
        ),
        Metric(
            "thinwatt_device_last_row_age_seconds",
            "gauge",
            "seconds",
            "Age of the newest booked row of one device.",
            ("device", "simulated"),
            PRESENT,
        ),
        Metric(
            "thinwatt_devices",
            "gauge",
            "",
            "Devices present: heard within the staleness time.",
            ("class", "simulated"),
            "classes × 2",
        ),
        Metric(
            "thinwatt_oldest_unbooked_seconds",
            "gauge",
            "seconds",
            "Age of the oldest row that was received and is not in the ledger yet; 0 when all is booked.",
            (),
            ONE,
        ),
        Metric(
            "thinwatt_agent_info",
            "info",
            "",
            "Version of an agent, and whether its machine is made up.",
            ("agent", "version", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_clock_skew_seconds",
            "gauge",
            "seconds",
            "The collector's wall clock minus an agent's, when the last live frame arrived.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_identity_conflict",
            "gauge",
            "",
            "1 while two machines are alive under one name: a cloned key.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_cpu_seconds_total",
            "counter",
            "seconds",
            "CPU time that an agent has used itself since it started.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_rss_bytes",
            "gauge",
            "bytes",
            "Memory that an agent itself uses.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_spool_rows",
            "gauge",
            "",
            "Rows that an agent keeps because they are not answered yet.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_lost_resolution_seconds_total",
            "counter",
            "seconds",
            "Time whose rows an agent has merged as its spool was full: no joule is lost, its place in time is.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_time_uncertain",
            "gauge",
            "",
            "1 while the clock of an agent's rows is a guess: its boot was never in contact when they were made.",
            ("agent", "simulated"),
            AGENTS,
        ),
        Metric(
            "thinwatt_agent_read_failures_total",
            "counter",
            "",
            "Readings of a source that failed, since the agent's stream began.",
            ("agent", "source", "simulated"),
            SOURCES,
        ),
        Metric(
            "thinwatt_agent_read_seconds_total",
            "counter",
            "seconds",
            "Time that an agent has spent reading a source, since its stream began.",
            ("agent", "source", "simulated"),
            SOURCES,
        ),
        Metric(
            "thinwatt_agent_reading_events_total",
            "counter",
            "",
            "What happened to registers of energy: wrap, restart, failed, gap; since the agent's stream began.",
            ("agent", "source", "event", "simulated"),
            "four a source of energy of an agent",
        ),
        Metric(
            "thinwatt_collector_frames_total",
            "counter",
            "",
            "Frames by what became of them.",
            ("result",),
            "5",
            own=True,
        ),
        Metric(
            "thinwatt_collector_rows_total",
            "counter",
            "",
            "Rows booked.",
            (),
            ONE,
            own=True,
        ),
        Metric(
            "thinwatt_collector_dropped_messages_total",
            "counter",
            "",
            "Messages not taken, by reason.",
            ("reason",),
            "one a reason, 16",
            own=True,
        ),
        Metric(
            "thinwatt_collector_refused_agents",
            "gauge",
            "",
            "Agents that get nothing through since a message was refused; thinwatt-collector status names them.",
            (),
            ONE,
            own=True,
        ),
        Metric(
            "thinwatt_collector_commits_total",
            "counter",
            "",
            "Transactions, by outcome.",
            ("result",),
            "2",
            own=True,
        ),
        Metric(
            "thinwatt_collector_factor_fallbacks_total",
            "counter",
            "",
            "Commits whose carbon used a factor of another year for want of the year's own.",
            (),
            ONE,
            own=True,
        ),
        Metric(
            "thinwatt_collector_step_seconds",
            "histogram",
            "seconds",
            "Duration of a step.",
            (),
            "10 with its buckets",
            own=True,
        ),
        Metric(
            "thinwatt_collector_uncommitted_bytes",
            "gauge",
            "bytes",
            "Bytes of frames received and not yet in the ledger.",
            (),
            ONE,
            own=True,
        ),
        Metric(
            "thinwatt_collector_ledger_bytes",
            "gauge",
            "bytes",
            "Size of the ledger on disk.",
            (),
            ONE,
            own=True,
        ),
        Metric(
            "thinwatt_collector_ledger_up",
            "gauge",
            "",
            "1 while the ledger takes transactions, 0 while it fails.",
            (),
            ONE,
            own=True,
        ),
        Metric(
            "thinwatt_collector_calibrated_models",
            "gauge",
            "",
            "Hardware models with a calibrated power model.",
            ("way",),
            "2",
            own=True,
        ),
        Metric(
            "thinwatt_collector_calibration_residual_ratio",
            "gauge",
            "",
            "What an hour of a metered machine is missed by, root mean square, of its mean.",
            ("class", "model", "way", "simulated"),
            "calibrated hardware models",
            own=True,
        ),
        Metric(
            "thinwatt_collector_calibration_uncertainty_ratio",
            "gauge",
            "",
            "Relative standard uncertainty of one unmetered machine of the model.",
            ("class", "model", "way", "simulated"),
            "calibrated hardware models",
            own=True,
        ),
        Metric(
            "thinwatt_collector_build_info",
            "gauge",
            "",
            "Version of the collector.",
            ("version",),
            ONE,
            own=True,
        ),
    )
)


def page(out: TextIO) -> None:
    """Write docs/metrics.md."""
    write = out.write
    write(
        "# Metrics\n\n"
        "Made from `catalogue.py` by `make docs`; a test fails when it is not up to date.\n\n"
        "`/metrics` speaks the Prometheus text format 0.0.4 and OpenMetrics 1.0, whichever is asked for. Units are\n"
        "base units: joules, grams, watts, seconds, bytes; recording rules and dashboards turn them into kWh and\n"
        "kgCO2e. Counters of the fleet are totals *booked* in the ledger: they survive a restart of the collector and\n"
        "never fall. A backlog that arrives late makes them rise at once, so alert on the gauges of power, not on\n"
        "`rate()` of joules. Where several collectors share a ledger each shows all of it: `max without (instance)`\n"
        "first.\n\n"
        "A counter stands at 0 from the moment at which a machine says what it is, before its first rows: a counter\n"
        "that appears has not risen, so `increase()` would not see what it appears with. Not so of a backlog that\n"
        "comes with the first words, and of the CPU time of agents, who count from their own start.\n\n"
        "For everybody counters of a class of endpoints are sums of what [the API](api.md) shows\n"
        "to everybody: half an hour late, in steps of a quarter of an hour or longer, gaps within the quarters in\n"
        "which a device was heard ([why](decisions/one-publication.md)). Power and numbers stand still until five of\n"
        "its devices have booked something, then move together ([why](decisions/endpoints-move-together.md)). So no\n"
        "difference is one person's. What is held back, and why, stands on `/readyz`. A class\n"
        "named `virtual_machine` has devices and no energy: that is in\n"
        "[its host's](decisions/virtual-machines-draw-nothing.md).\n"
    )
    _table(out, "Fleet", (m for m in CATALOGUE.values() if not m.own))
    _table(out, "The collector itself", (m for m in CATALOGUE.values() if m.own))
    write(
        "\nBeside these: `thinwatt_collector_process_*` (CPU time, memory, open files), as every client of Prometheus\n"
        "has them. Counters of this section begin with the process.\n"
    )
    write("\n## Labels\n\n| label | says |\n|---|---|\n")
    for name, meaning in LABELS.items():
        write(f"| `{name}` | {meaning} |\n")
    write("\nNo label ever holds a person's name, a login or a command line.\n")


def _table(out: TextIO, title: str, metrics: Iterable[Metric]) -> None:
    out.write(f"\n## {title}\n\n| metric | kind | unit | labels | series | what it says |\n|---|---|---|---|---|---|\n")
    for m in metrics:
        labels = ", ".join(f"`{label}`" for label in m.labels) or "–"
        out.write(f"| `{m.name}` | {m.kind} | {m.unit or '–'} | {labels} | {m.cardinality} | {m.help} |\n")


if __name__ == "__main__":
    page(sys.stdout)
