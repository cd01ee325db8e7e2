-- PowerShell 4103 and 4104, whatever ships them. Where there are no fields, the rendered text is what there is.
-- An export that lost channel and provider is known by the fields that only these events have.
SELECT
  'powershell:' || "EventID" AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  coalesce(
    "ScriptBlockText",
    regexp_extract("Message", '(?s)^Creating Scriptblock text \(\d+ of \d+\):\s*?\n(.*?)(?:\s*ScriptBlock ID: \S+\s*Path:[^\n]*)?$', 1)
  ) AS script_block_text,
  coalesce(
    "ScriptBlockId",
    CASE WHEN "EventID" = 4104 THEN regexp_extract("Message", '(?s).*\nScriptBlock ID: (\S+)', 1) END
  ) AS script_block_id,
  coalesce(
    "Payload",
    CASE WHEN "EventID" = 4103 THEN regexp_extract("Message", '(?s)^(.*?)\s*Context:\r?\n', 1) END
  ) AS payload,
  coalesce(
    "ContextInfo",
    CASE WHEN "EventID" = 4103 THEN regexp_extract("Message", '(?s)\nContext:\r?\n(.*?)(?:\s*User Data:.*)?$', 1) END
  ) AS context_info,
  nullif(coalesce("Path", regexp_extract(coalesce("ContextInfo", "Message"), '(?m)^\s*(?:Script Name = |Path: )(.*?)\r?$', 1)), '') AS path,
  regexp_extract(coalesce("ContextInfo", "Message"), '(?m)^\s*Host Application = (.*?)\r?$', 1) AS host_application,
  -- 4104 does not say whose script it is; its head does, by SID, and some shippers add the name.
  coalesce(
    regexp_extract(coalesce("ContextInfo", "Message"), '(?m)^\s*User = (.+?)\r?$', 1),
    "AccountDomain" || '\' || "AccountName",
    "SecurityUserID"
  ) AS "user",
  "ExecutionProcessID" AS process_id,
  CASE
    WHEN coalesce("ScriptBlockText", "Payload", "ContextInfo") IS NULL THEN "Message"
    ELSE concat_ws(chr(10), "ScriptBlockText", "Payload", "ContextInfo")
  END AS text
FROM source
WHERE "EventID" IN (4103, 4104)
  AND ("Channel" ILIKE '%powershell%' OR "Provider" ILIKE '%powershell%'
    OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND coalesce("ScriptBlockText", "ContextInfo") IS NOT NULL))
