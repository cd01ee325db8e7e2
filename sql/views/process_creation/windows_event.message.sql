-- Sysmon 1 whose fields are nowhere but in the rendered text, a line each: what a shipper leaves of an event that it cannot parse.
SELECT
  'sysmon:1' AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  regexp_extract("Message", '(?m)^Image: (.*?)\r?$', 1) AS image,
  base_name(regexp_extract("Message", '(?m)^Image: (.*?)\r?$', 1)) AS process_name,
  regexp_extract("Message", '(?m)^OriginalFileName: (.*?)\r?$', 1) AS original_file_name,
  -- It may break the line, so it goes as far as the next field.
  regexp_extract("Message", '(?ms)^CommandLine: (.*?)\r?\nCurrentDirectory: ', 1) AS command_line,
  regexp_extract("Message", '(?m)^CurrentDirectory: (.*?)\r?$', 1) AS current_directory,
  parse_int(regexp_extract("Message", '(?m)^ProcessId: (\d+)', 1)) AS process_id,
  regexp_extract("Message", '(?m)^ProcessGuid: (.*?)\r?$', 1) AS process_guid,
  regexp_extract("Message", '(?m)^ParentImage: (.*?)\r?$', 1) AS parent_image,
  base_name(regexp_extract("Message", '(?m)^ParentImage: (.*?)\r?$', 1)) AS parent_process_name,
  regexp_extract("Message", '(?m)^ParentCommandLine: (.*?)\r?$', 1) AS parent_command_line,
  parse_int(regexp_extract("Message", '(?m)^ParentProcessId: (\d+)', 1)) AS parent_process_id,
  regexp_extract("Message", '(?m)^ParentProcessGuid: (.*?)\r?$', 1) AS parent_process_guid,
  regexp_extract("Message", '(?m)^User: (.*?)\r?$', 1) AS "user",
  regexp_extract("Message", '(?m)^LogonId: (.*?)\r?$', 1) AS logon_id,
  regexp_extract("Message", '(?m)^IntegrityLevel: (.*?)\r?$', 1) AS integrity_level,
  regexp_extract("Message", '(?m)^Hashes: (.*?)\r?$', 1) AS hashes
FROM source
WHERE "EventID" = 1 AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%') AND "Image" IS NULL AND "Message" IS NOT NULL
