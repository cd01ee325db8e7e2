-- ---
-- id: 63b4fd47-53c5-4b3b-8b0d-cfc2a307cfff
-- title: Record numbers of a log are missing
-- status: test
-- level: medium
-- description: >
--   A hole in the record numbers of a host's log: a log numbers its records one by one, so that what lies between two
--   neighbours that are not one apart was written and never came. A hole counts from $min_missing records on, and from
--   $share of the records that the window has of the log. Numbers that begin again, as when a log was made anew, are no
--   hole, for then the higher number is the older record; a record that came twice, or by two shippers, counts once. It
--   reads every numbered record of the lake (log_record), a day before each window too, so that a hole across
--   midnight is seen; leave it to a job of its own. It misses the end of a log that never came (source_silent_host), and
--   numbers that began again behind a hole. Status test: shippers that select events leave holes of their own.
-- tags: [lakehunt.source-health, attack.defense-evasion, attack.t1562.006]
-- references: [https://attack.mitre.org/techniques/T1562/006/]
-- falsepositives:
--   - Shippers that send some events of a log only; raise $min_missing above what they leave out at a time.
--   - Records that arrive late; the tile runs again by itself.
-- response:
--   - Look at what the host did just before the hole, and at the shipper's own log.
--   - Fetch the missing numbers from the host while its log still has them.
-- lookback: 1d
-- params: {min_missing: 100, share: 0.01}
-- entities: {host: host_name}
-- key: [host_id, channel]
-- risk: {score: 20, message: "{host_name} lacks {missing} records of {channel} after number {last_number}"}
-- ---
WITH neighbours AS (
  SELECT
    *,
    lag(record_number) OVER by_number AS number_before,
    lag(event_time) OVER by_number AS time_before,
    lag(_table) OVER by_number AS table_before,
    lag(_file) OVER by_number AS file_before,
    lag(_row) OVER by_number AS row_before
  FROM log_record
  WHERE host_id IS NOT NULL AND channel IS NOT NULL AND record_number IS NOT NULL
  WINDOW by_number AS (
    PARTITION BY host_id, channel
    ORDER BY record_number, event_time, _table, _file, _row
  )
),
counted AS (
  SELECT
    *,
    record_number - number_before - 1 AS missing,
    sum(CASE WHEN record_number = number_before THEN 0 ELSE 1 END) OVER (PARTITION BY host_id, channel) AS records
  FROM neighbours
),
-- Both sides of a hole are evidence.
sides AS (
  SELECT *, unnest(range(0, 2)) AS side
  FROM counted
  WHERE missing >= $min_missing AND missing >= $share * records AND time_before <= event_time
)
SELECT
  host_id,
  max(host_name) AS host_name,
  channel,
  number_before AS last_number,
  record_number AS next_number,
  missing,
  records,
  time_before AS first_seen,
  event_time AS last_seen,
  evidence(
    CASE WHEN side = 0 THEN table_before ELSE _table END,
    CASE WHEN side = 0 THEN file_before ELSE _file END,
    CASE WHEN side = 0 THEN row_before ELSE _row END
  ) AS evidence
FROM sides
GROUP BY host_id, channel, number_before, record_number, missing, records, time_before, event_time
