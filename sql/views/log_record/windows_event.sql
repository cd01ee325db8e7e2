SELECT
  coalesce(nullif("Channel", ''), "Provider") || ':' || "EventID" AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  nullif("Channel", '') AS channel,
  "EventRecordID" AS record_number
FROM source
WHERE "EventRecordID" IS NOT NULL
