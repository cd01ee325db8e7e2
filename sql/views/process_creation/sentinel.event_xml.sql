-- Sysmon 1 in the table Event, which keeps the event's fields as XML.
SELECT
  'sysmon:1' AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  xml_unescape(regexp_extract("EventData", '<Data Name="Image">([^<]*)</Data>', 1)) AS image,
  base_name(xml_unescape(regexp_extract("EventData", '<Data Name="Image">([^<]*)</Data>', 1))) AS process_name,
  xml_unescape(regexp_extract("EventData", '<Data Name="OriginalFileName">([^<]*)</Data>', 1)) AS original_file_name,
  xml_unescape(regexp_extract("EventData", '<Data Name="CommandLine">([^<]*)</Data>', 1)) AS command_line,
  xml_unescape(regexp_extract("EventData", '<Data Name="CurrentDirectory">([^<]*)</Data>', 1)) AS current_directory,
  parse_int(regexp_extract("EventData", '<Data Name="ProcessId">([^<]*)</Data>', 1)) AS process_id,
  xml_unescape(regexp_extract("EventData", '<Data Name="ProcessGuid">([^<]*)</Data>', 1)) AS process_guid,
  xml_unescape(regexp_extract("EventData", '<Data Name="ParentImage">([^<]*)</Data>', 1)) AS parent_image,
  base_name(xml_unescape(regexp_extract("EventData", '<Data Name="ParentImage">([^<]*)</Data>', 1))) AS parent_process_name,
  xml_unescape(regexp_extract("EventData", '<Data Name="ParentCommandLine">([^<]*)</Data>', 1)) AS parent_command_line,
  parse_int(regexp_extract("EventData", '<Data Name="ParentProcessId">([^<]*)</Data>', 1)) AS parent_process_id,
  xml_unescape(regexp_extract("EventData", '<Data Name="ParentProcessGuid">([^<]*)</Data>', 1)) AS parent_process_guid,
  xml_unescape(regexp_extract("EventData", '<Data Name="User">([^<]*)</Data>', 1)) AS "user",
  xml_unescape(regexp_extract("EventData", '<Data Name="LogonId">([^<]*)</Data>', 1)) AS logon_id,
  xml_unescape(regexp_extract("EventData", '<Data Name="IntegrityLevel">([^<]*)</Data>', 1)) AS integrity_level,
  xml_unescape(regexp_extract("EventData", '<Data Name="Hashes">([^<]*)</Data>', 1)) AS hashes
FROM source
WHERE "EventID" = 1 AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%') AND "Image" IS NULL AND "EventData" LIKE '%<Data Name="%'
