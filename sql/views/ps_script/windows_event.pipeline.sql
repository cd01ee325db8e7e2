-- Windows PowerShell 800, whatever ships it. It has three texts without names, the line, the context and the details: shippers number them,
-- leave them a list (JSON here, with its escapes), or leave the rendered text only. The log has no process id for it.
SELECT
  'windows_powershell:800' AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  coalesce(
    "param3",
    replace(replace(replace(replace(replace(replace(regexp_extract("Data", '"((?:[^"\\]|\\.)*)"\s*\]$', 1), '\\', chr(1)), '\r', ''), '\n', chr(10)), '\t', chr(9)), '\"', '"'), chr(1), '\'),
    regexp_extract("Message", '(?s)\nDetails:\s*(.*)', 1)
  ) AS payload,
  coalesce(
    "param2",
    replace(replace(replace(replace(replace(replace(regexp_extract("Data", '^\[\s*"(?:[^"\\]|\\.)*",\s*"((?:[^"\\]|\\.)*)"', 1), '\\', chr(1)), '\r', ''), '\n', chr(10)), '\t', chr(9)), '\"', '"'), chr(1), '\'),
    regexp_extract("Message", '(?s)\nContext Information:\s*(.*?)\s*Details:', 1)
  ) AS context_info,
  nullif(regexp_extract(coalesce("param2", replace(replace(replace(replace(replace(replace("Data", '\\', chr(1)), '\r', ''), '\n', chr(10)), '\t', chr(9)), '\"', '"'), chr(1), '\'), "Message"), '(?m)^\s*ScriptName=(.*?)\r?$', 1), '') AS path,
  regexp_extract(coalesce("param2", replace(replace(replace(replace(replace(replace("Data", '\\', chr(1)), '\r', ''), '\n', chr(10)), '\t', chr(9)), '\"', '"'), chr(1), '\'), "Message"), '(?m)^\s*HostApplication=(.*?)\r?$', 1) AS host_application,
  regexp_extract(coalesce("param2", replace(replace(replace(replace(replace(replace("Data", '\\', chr(1)), '\r', ''), '\n', chr(10)), '\t', chr(9)), '\"', '"'), chr(1), '\'), "Message"), '(?m)^\s*UserId=(.+?)\r?$', 1) AS "user",
  coalesce(nullif(concat_ws(chr(10), "param1", "param2", "param3"), ''), replace(replace(replace(replace(replace(replace("Data", '\\', chr(1)), '\r', ''), '\n', chr(10)), '\t', chr(9)), '\"', '"'), chr(1), '\'), "Message") AS text
FROM source
WHERE "EventID" = 800 AND ("Channel" ILIKE '%powershell%' OR "Provider" ILIKE '%powershell%')
