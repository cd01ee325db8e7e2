-- ---
-- id: f45d5406-70b3-4a93-8e23-28b1abac9e4f
-- title: Objects arrive later than their table settles
-- status: experimental
-- level: low
-- description: >
--   A table whose objects were written longer after their newest event than its `settle` says: its tiles were closed
--   before they were there, and ran again, or will. What counts is the middle one (the median) of a window's objects, so
--   that one straggler says nothing, and an object is late from $tolerance_seconds behind `settle` on. It reads
--   `objects`, what the ledgers say of each object. Status experimental: an object's time is that of its last change, so
--   a copy of a lake, or a compaction, looks late as a whole.
-- tags: [lakehunt.source-health]
-- falsepositives:
--   - A lake that was copied or compacted.
-- response:
--   - Set the table's `settle` to what is seen here, or mend the shipper.
-- params: {tolerance_seconds: 300, min_objects: 3}
-- key: ["table"]
-- risk: {score: 0, message: "{table}: the objects of the window came {delay_seconds} s after their events, it settles after {settle_seconds} s"}
-- ---
SELECT
  "table",
  settle_seconds,
  CAST(median(CAST(date_diff('second', newest_event, modified) AS DOUBLE)) AS BIGINT) AS delay_seconds,
  max(date_diff('second', newest_event, modified)) AS worst_seconds,
  count(*) AS object_count,
  window_start AS first_seen,
  window_end - INTERVAL '1' SECOND AS last_seen,
  evidence(_table, _file, _row) AS evidence
FROM objects
WHERE newest_event IS NOT NULL AND settle_seconds IS NOT NULL
GROUP BY "table", settle_seconds, window_start, window_end
HAVING count(*) >= $min_objects
  AND median(CAST(date_diff('second', newest_event, modified) AS DOUBLE)) > settle_seconds + $tolerance_seconds
