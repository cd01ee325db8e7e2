-- ScriptControlScanTelemetry is what AMSI was given (VBScript and JScript too), CommandHistory what was typed into a console,
-- cmd's included: a hunt that looks for PowerShell's words finds them in either.
SELECT
  'crowdstrike:' || "event_simpleName" AS event_type,
  "aid" AS host_id,
  coalesce(CASE WHEN "ComputerName" NOT IN ('', '0', 'N/A') THEN "ComputerName" END, "aid") AS host_name,
  CASE WHEN "event_simpleName" = 'ScriptControlScanTelemetry' THEN "ScriptContent" END AS script_block_text,
  CASE WHEN "event_simpleName" = 'CommandHistory' THEN "CommandHistory" END AS payload,
  nullif("ScriptContentName", '') AS path,
  nullif("CommandLine", '') AS host_application,
  coalesce(nullif(nullif("UserName", ''), 'N/A'), nullif(nullif("UserSid", ''), 'N/A')) AS "user",
  "RawProcessId" AS process_id,
  coalesce("ScriptContent", "CommandHistory") AS text
FROM source
WHERE "event_simpleName" IN ('ScriptControlScanTelemetry', 'CommandHistory')
