-- DeviceEvents: PowerShellCommand is the name of a command that ran, ScriptContent the script as AMSI saw it. Both are in the JSON
-- of AdditionalFields, whose escapes are undone here (except \u).
SELECT
  'defender:' || "ActionType" AS event_type,
  coalesce("DeviceId", "DeviceName") AS host_id,
  coalesce("DeviceName", "DeviceId") AS host_name,
  CASE WHEN "ActionType" <> 'PowerShellCommand' THEN
    replace(replace(replace(replace(replace(replace(
      regexp_extract("AdditionalFields", '"ScriptContent"\s*:\s*"((?:[^"\\]|\\.)*)"', 1),
      '\\', chr(1)), '\"', '"'), '\r', chr(13)), '\n', chr(10)), '\t', chr(9)), chr(1), '\') END AS script_block_text,
  CASE WHEN "ActionType" = 'PowerShellCommand' THEN
    replace(replace(replace(regexp_extract("AdditionalFields", '"Command"\s*:\s*"((?:[^"\\]|\\.)*)"', 1),
      '\\', chr(1)), '\"', '"'), chr(1), '\') END AS payload,
  "InitiatingProcessCommandLine" AS host_application,
  coalesce(nullif("InitiatingProcessAccountDomain", '') || '\' || "InitiatingProcessAccountName", "InitiatingProcessAccountName") AS "user",
  "InitiatingProcessId" AS process_id,
  replace(replace(replace(replace(replace(replace(
    regexp_extract("AdditionalFields", '"(?:Command|ScriptContent)"\s*:\s*"((?:[^"\\]|\\.)*)"', 1),
    '\\', chr(1)), '\"', '"'), '\r', chr(13)), '\n', chr(10)), '\t', chr(9)), chr(1), '\') AS text
FROM source
WHERE "ActionType" IN ('PowerShellCommand', 'ScriptContent', 'AmsiScriptContent')
