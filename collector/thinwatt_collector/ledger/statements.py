"""The ledger's SQL, one text for every engine.

``{rows}`` stands for the batch that a statement takes, in whatever form the engine reads a batch best.
No ``date_bin``, no division, no quantiles, NULL never NaN: what the two dialects do alike.
"""

from __future__ import annotations

from typing import Final

COLUMNS: Final = "joules, variance, bias, covered"

NEW_STREAMS: Final = """
INSERT INTO stream SELECT agent, stream, schema_id, boot, base, pos, t_pos, utc_offset, uncertain, seen, state
FROM {rows} ON CONFLICT (agent, stream) DO NOTHING
"""

MOVE: Final = """
UPDATE stream SET pos = m.pos, t_pos = m.t_pos, utc_offset = m.utc_offset, uncertain = m.uncertain, seen = m.seen,
    schema_id = m.schema_id, state = m.state
FROM {rows} AS m WHERE stream.agent = m.agent AND stream.stream = m.stream AND stream.pos = m.old
"""
MOVE_AND_TELL: Final = f"{MOVE}RETURNING stream.agent, stream.stream"

ADD_ENERGY: Final = f"""
INSERT INTO open_slot (device, slot, source, {COLUMNS}) SELECT device, slot, source, {COLUMNS} FROM {{rows}}
ON CONFLICT (device, slot, source) DO UPDATE SET joules = open_slot.joules + excluded.joules,
    variance = open_slot.variance + excluded.variance, bias = open_slot.bias + excluded.bias,
    covered = open_slot.covered + excluded.covered
"""

ADD_TOTALS: Final = """
INSERT INTO booked (label, total) SELECT label, amount FROM {rows}
ON CONFLICT (label) DO UPDATE SET total = booked.total + excluded.total
"""

ADD_SCHEMAS: Final = "INSERT INTO wire_schema SELECT id, document FROM {rows} ON CONFLICT (id) DO NOTHING"
ADD_DEVICES: Final = """
INSERT INTO device SELECT id, name, agent, class, model, simulated FROM {rows} ON CONFLICT (id) DO UPDATE SET
    agent = excluded.agent, class = excluded.class, model = excluded.model, simulated = excluded.simulated
WHERE device.name = excluded.name
RETURNING device.id
"""
# A number that another collector has given in the meantime fails the transaction: never two names under one number.
ADD_SOURCES: Final = "INSERT INTO source SELECT id, name, part, scope, basis FROM {rows}"
ADD_LABELS: Final = "INSERT INTO label SELECT id, family, labels FROM {rows}"
ADD_EVENTS: Final = "INSERT INTO event SELECT utc, kind, subject, text FROM {rows}"

SEAL: Final = (
    f"""
INSERT INTO sealed_slot (device, slot, source, {COLUMNS})
SELECT device, slot, source, {COLUMNS} FROM open_slot WHERE slot < ? ORDER BY device, source, slot
""",
    "DELETE FROM open_slot WHERE slot < ?",
)
FORGET_STREAMS: Final = "DELETE FROM stream WHERE seen < ?"

KNOWN: Final = """
SELECT (SELECT count(*) FROM wire_schema), (SELECT coalesce(max(id), -1) + 1 FROM device),
    (SELECT coalesce(max(id), -1) + 1 FROM source), (SELECT coalesce(max(id), -1) + 1 FROM label)
"""

STREAMS_OF: Final = """
SELECT s.agent, s.stream, s.schema_id, s.boot, s.base, s.pos, s.t_pos, s.utc_offset, s.uncertain, s.seen, s.state
FROM stream AS s JOIN {rows} AS w ON s.agent = w.agent AND s.stream = w.stream
"""
LAST_OF_AGENTS: Final = """
SELECT s.agent, s.boot, max(s.t_pos + s.utc_offset), max(s.t_pos) FROM stream AS s
WHERE s.agent IN (SELECT agent FROM {rows}) GROUP BY s.agent, s.boot
"""
