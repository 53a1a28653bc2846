-- Compaction. What is booked lies in open_slot + sealed_slot + hour_slot: energy moves from sealed_slot into hour_slot.
-- kept_slot has the slots of hour_slot from slots_kept.hour on, day_slot the sums of hour_slot for the days of local_day.
-- hour = slot >> 2; a day is named by its first hour. devices: how many devices a row is the sum of. device < 0: folded.
CREATE TABLE kept_slot (
    device INTEGER NOT NULL, slot INTEGER NOT NULL, source INTEGER NOT NULL, joules DOUBLE PRECISION NOT NULL,
    variance DOUBLE PRECISION NOT NULL, bias DOUBLE PRECISION NOT NULL, covered DOUBLE PRECISION NOT NULL,
    slots INTEGER NOT NULL, devices INTEGER NOT NULL
);
CREATE TABLE hour_slot (
    device INTEGER NOT NULL, hour INTEGER NOT NULL, source INTEGER NOT NULL, joules DOUBLE PRECISION NOT NULL,
    variance DOUBLE PRECISION NOT NULL, bias DOUBLE PRECISION NOT NULL, covered DOUBLE PRECISION NOT NULL,
    slots INTEGER NOT NULL, devices INTEGER NOT NULL
);
CREATE TABLE day_slot (
    device INTEGER NOT NULL, day INTEGER NOT NULL, source INTEGER NOT NULL, joules DOUBLE PRECISION NOT NULL,
    variance DOUBLE PRECISION NOT NULL, bias DOUBLE PRECISION NOT NULL, covered DOUBLE PRECISION NOT NULL,
    slots INTEGER NOT NULL, devices INTEGER NOT NULL
);
-- The days that day_slot has, [day, past) in hours, of one zone. folded: no endpoint stands in it by itself.
CREATE TABLE local_day (day INTEGER PRIMARY KEY, past INTEGER NOT NULL, folded BOOLEAN NOT NULL);
CREATE TABLE day_zone (name TEXT NOT NULL, complete BOOLEAN NOT NULL);
CREATE TABLE slots_kept (hour INTEGER NOT NULL);
INSERT INTO slots_kept VALUES (0);
CREATE TABLE folded_device (
    id INTEGER PRIMARY KEY, class TEXT NOT NULL, simulated BOOLEAN NOT NULL, dimension TEXT NOT NULL, label TEXT NOT NULL
);
CREATE OR REPLACE VIEW energy AS SELECT * FROM open_slot UNION ALL SELECT * FROM sealed_slot UNION ALL
SELECT device, slot, source, joules, variance, bias, covered FROM kept_slot UNION ALL
SELECT device, hour * 4, source, joules, variance, bias, covered FROM hour_slot
WHERE hour < (SELECT max(hour) FROM slots_kept);
