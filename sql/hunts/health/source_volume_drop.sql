-- ---
-- id: c533e16c-49f0-4860-ae67-b6a6df7f2d07
-- title: A table gives far fewer events than usual
-- status: test
-- level: medium
-- description: >
--   A window in which a table of the lake gave less than half ($share) of what it gave in the middle one (the median) of
--   the windows before, and less than half of what it gave in the same window one and two weeks before, so that a
--   weekend, or a night of an hourly job, is measured against another. It reads `reads`, what the ledgers say of each
--   window: no event is read again, and only tables are known that some hunt of the job reads. It is silent until there
--   are $min_windows windows before, and about tables with fewer than $min_rows events. It misses single hosts
--   (source_silent_host), a slow decline, and a table that is quiet on purpose, which is a false alarm once a week at
--   most. Status test: a share that fits every table is not known.
-- tags: [lakehunt.source-health]
-- falsepositives:
--   - Public holidays, and sensors that were switched off on purpose.
-- response:
--   - Look at `lakehunt tables TABLE` and the folder of the window; late objects make the tile run again by themselves.
--   - Until the events are there, no finding in this window means nothing for hunts over this table.
-- lookback: 15d
-- params: {share: 0.5, min_windows: 5, min_rows: 1000}
-- key: ["table"]
-- risk: {score: 0, message: "{table} gave {rows} events, {usual} are usual"}
-- ---
WITH compared AS (
  SELECT
    now."table",
    now.window_start,
    now.window_end,
    now.rows_in_window AS "rows",
    count(*) AS windows,
    CAST(median(CAST(before.rows_in_window AS DOUBLE)) AS BIGINT) AS usual,
    max(
      CASE
        WHEN date_diff('hour', before.window_start, now.window_start) IN (168, 336) THEN before.rows_in_window
      END
    ) AS same_window_before,
    evidence(now._table, now._file, now._row) AS evidence
  FROM reads AS now
  JOIN reads AS before ON before."table" = now."table" AND before.window_start < now.window_start
  GROUP BY now."table", now.window_start, now.window_end, now.rows_in_window
)
SELECT
  "table",
  window_start,
  window_end,
  "rows",
  usual,
  same_window_before,
  windows,
  window_start AS first_seen,
  window_end - INTERVAL '1' SECOND AS last_seen,
  evidence
FROM compared
WHERE windows >= $min_windows
  AND usual >= $min_rows
  AND "rows" < $share * usual
  AND "rows" < $share * coalesce(same_window_before, usual)
