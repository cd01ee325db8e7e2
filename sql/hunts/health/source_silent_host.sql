-- ---
-- id: fdc89aca-0b14-417b-a6cb-635099748a83
-- title: A host that reported every day is silent
-- status: test
-- level: medium
-- description: >
--   A host that started processes on most days of the week before, and for a day ($silent_hours) has started none, while
--   others did: its sensor was stopped, blinded or removed, or the host is off. Time is what the events say: a host is
--   silent when its newest event lies that far before the newest of all. It is told for one day ($told_hours), and then
--   no more. A source that is silent as a whole is source_volume_drop's. It reads seven days of process_creation in every
--   tile, which a nightly job pays for; leave it to a job of its own. Status test: laptops go on holiday.
-- tags: [lakehunt.source-health, attack.defense-evasion, attack.t1562.001]
-- references: [https://attack.mitre.org/techniques/T1562/001/]
-- falsepositives:
--   - Laptops that are closed, and hosts that were taken down.
-- response:
--   - Ping the host, and ask the sensor's console when it was seen last.
--   - Look at what the host did just before; stopping the sensor is often the last thing that is seen.
-- lookback: 7d
-- params: {min_days: 5, silent_hours: 24, told_hours: 24}
-- entities: {host: host_name}
-- key: [host_id]
-- risk: {score: 20, message: "{host_name} reported on {days} days, and nothing since {last_event}"}
-- ---
WITH hosts AS (
  SELECT
    host_id,
    max(host_name) AS host_name,
    count(DISTINCT date_trunc('day', event_time)) AS days,
    count(*) AS event_count,
    min(event_time) AS first_seen,
    max(event_time) AS last_event,
    evidence(_table, _file, _row) AS evidence
  FROM process_creation
  WHERE host_id IS NOT NULL
  GROUP BY host_id
),
newest AS (
  SELECT max(last_event) AS newest_event FROM hosts
)
SELECT
  host_id,
  host_name,
  days,
  last_event,
  event_count,
  first_seen,
  newest_event AS last_seen,
  evidence
FROM hosts
CROSS JOIN newest
WHERE days >= $min_days
  AND date_diff('hour', last_event, newest_event) >= $silent_hours
  AND date_diff('hour', last_event, newest_event) < $silent_hours + $told_hours
