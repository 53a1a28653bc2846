-- One text for DuckDB and PostgreSQL. Times are ns of UTC or of CLOCK_BOOTTIME; slots are epoch // 900.
CREATE TABLE wire_schema (id BLOB PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE device (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, agent TEXT NOT NULL,
    class TEXT NOT NULL, model TEXT NOT NULL, simulated BOOLEAN NOT NULL
);
CREATE TABLE source (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, part TEXT NOT NULL, scope TEXT NOT NULL, basis TEXT NOT NULL
);
CREATE TABLE stream (
    agent TEXT NOT NULL, stream BLOB NOT NULL, schema_id BLOB NOT NULL, boot BLOB NOT NULL, base BIGINT NOT NULL,
    pos BIGINT NOT NULL, t_pos BIGINT NOT NULL, utc_offset BIGINT NOT NULL, uncertain BOOLEAN NOT NULL,
    seen BIGINT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (agent, stream)
);
-- open: slots that may still grow. sealed: the same, without a key; a slot may stand in it several times, readers SUM.
CREATE TABLE open_slot (
    device INTEGER NOT NULL, slot INTEGER NOT NULL, source INTEGER NOT NULL, joules DOUBLE PRECISION NOT NULL,
    variance DOUBLE PRECISION NOT NULL, bias DOUBLE PRECISION NOT NULL, covered DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (device, slot, source)
);
CREATE TABLE sealed_slot (
    device INTEGER NOT NULL, slot INTEGER NOT NULL, source INTEGER NOT NULL, joules DOUBLE PRECISION NOT NULL,
    variance DOUBLE PRECISION NOT NULL, bias DOUBLE PRECISION NOT NULL, covered DOUBLE PRECISION NOT NULL
);
CREATE VIEW energy AS SELECT * FROM open_slot UNION ALL SELECT * FROM sealed_slot;
-- booked: what /metrics counts, one accumulator a label set; added to in the commit, never summed again.
CREATE TABLE label (id INTEGER PRIMARY KEY, family TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (family, labels));
CREATE TABLE booked (label INTEGER PRIMARY KEY, total DOUBLE PRECISION NOT NULL);
CREATE TABLE event (utc BIGINT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL);
