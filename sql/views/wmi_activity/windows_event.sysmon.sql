-- Sysmon 19, 20 and 21, whatever ships them. Most of their values are written as WMI writes them, ` "C:\\Windows"`: with a blank before,
-- in quotes, with escapes. Where a shipper cannot parse a long script, all fields are in the rendered text only.
-- An export that lost channel and provider is known by the fields that only these events have.
SELECT
  'sysmon:' || "EventID" AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  CASE "EventID" WHEN 19 THEN 'event_filter' WHEN 20 THEN 'event_consumer' ELSE 'consumer_to_filter' END AS kind,
  coalesce("Operation", regexp_extract("Message", '(?m)^Operation: (\w+)', 1)) AS operation,
  btrim(regexp_replace(regexp_replace(coalesce("EventNamespace", regexp_extract("Message", '(?m)^EventNamespace: (.*?)\r?$', 1)), '(?s)^\s*"(.*)"\s*$', '\1'), '\\(["\\])', '\1', 'g')) AS namespace,
  btrim(regexp_replace(regexp_replace(coalesce("Query", regexp_extract("Message", '(?s)\nQuery: (.*)$', 1)), '(?s)^\s*"(.*)"\s*$', '\1'), '\\(["\\])', '\1', 'g')) AS query,
  btrim(regexp_replace(regexp_replace(coalesce("Name", regexp_extract("Message", '(?m)^Name: (.*?)\r?$', 1)), '(?s)^\s*"(.*)"\s*$', '\1'), '\\(["\\])', '\1', 'g')) AS name,
  btrim(regexp_replace(regexp_replace(CASE "EventID" WHEN 19 THEN coalesce("Name", regexp_extract("Message", '(?m)^Name: (.*?)\r?$', 1)) ELSE coalesce("Filter", regexp_extract("Message", '(?m)^Filter: (.*?)\r?$', 1)) END, '(?s)^\s*"(.*)"\s*$', '\1'), '\\(["\\])', '\1', 'g')) AS filter,
  btrim(regexp_replace(regexp_replace(CASE "EventID" WHEN 20 THEN coalesce("Name", regexp_extract("Message", '(?m)^Name: (.*?)\r?$', 1)) ELSE coalesce("Consumer", regexp_extract("Message", '(?m)^Consumer: (.*?)\r?$', 1)) END, '(?s)^\s*"(.*)"\s*$', '\1'), '\\(["\\])', '\1', 'g')) AS consumer,
  coalesce("Type", regexp_extract("Message", '(?m)^Type: (.*?)\r?$', 1), regexp_extract(coalesce("Consumer", regexp_extract("Message", '(?m)^Consumer: (.*?)\r?$', 1)), '(\w+)\.Name=', 1)) AS consumer_type,
  btrim(regexp_replace(regexp_replace(coalesce("Destination", regexp_extract("Message", '(?s)\nDestination: (.*)$', 1)), '(?s)^\s*"(.*)"\s*$', '\1'), '\\(["\\])', '\1', 'g')) AS destination,
  coalesce("User", regexp_extract("Message", '(?m)^User: (.*?)\r?$', 1)) AS "user"
FROM source
WHERE "EventID" IN (19, 20, 21)
  AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%'
    OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "UtcTime" IS NOT NULL AND "Operation" IS NOT NULL AND "User" IS NOT NULL))
