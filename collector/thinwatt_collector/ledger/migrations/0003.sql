-- A made-up machine is marked wherever it shows: also in the time that is known of it, and in its gaps.
UPDATE label SET labels = substr(labels, 1, length(labels) - 1) || ', "simulated": '
    || CASE WHEN device.simulated THEN '"true"}' ELSE '"false"}' END
FROM device WHERE label.family IN ('DEVICE_COVERED', 'DEVICE_GAP') AND CAST(label.labels AS JSON) ->> 'device' = device.name;
