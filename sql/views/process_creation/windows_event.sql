-- Sysmon 1 and Security 4688, whatever ships them. In 4688 `ProcessId` is the creator's.
-- Older nxlog calls the process that wrote the log `ProcessID`, not `ExecutionProcessID`, which is one name with the event's
-- own `ProcessId` and took its place: there the event's is left in `Message` only.
-- An export that lost channel and provider is known by the fields that only these events have.
SELECT
  CASE WHEN "EventID" = 1 THEN 'sysmon:1' ELSE 'security:4688' END AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  coalesce("NewProcessName", "Image") AS image,
  base_name(coalesce("NewProcessName", "Image")) AS process_name,
  "OriginalFileName" AS original_file_name,
  "CommandLine" AS command_line,
  "CurrentDirectory" AS current_directory,
  CASE
    WHEN "EventID" = 4688 THEN "NewProcessId"
    WHEN "ThreadID" IS NOT NULL AND "ExecutionProcessID" IS NULL AND "Message" IS NOT NULL THEN parse_int(regexp_extract("Message", '(?m)^ProcessId: (\d+)', 1))
    ELSE "ProcessId"
  END AS process_id,
  "ProcessGuid" AS process_guid,
  coalesce("ParentImage", "ParentProcessName") AS parent_image,
  base_name(coalesce("ParentImage", "ParentProcessName")) AS parent_process_name,
  "ParentCommandLine" AS parent_command_line,
  CASE
    WHEN "EventID" = 1 THEN "ParentProcessId"
    WHEN "ThreadID" IS NOT NULL AND "ExecutionProcessID" IS NULL AND "Message" IS NOT NULL THEN parse_int(regexp_extract("Message", 'Creator Process ID:\s*(0x[0-9A-Fa-f]+)', 1))
    ELSE "ProcessId"
  END AS parent_process_id,
  "ParentProcessGuid" AS parent_process_guid,
  CASE
    WHEN "EventID" = 1 THEN "User"
    WHEN "TargetUserName" <> '-' THEN coalesce("TargetDomainName" || '\' || "TargetUserName", "TargetUserName")
    ELSE coalesce("SubjectDomainName" || '\' || "SubjectUserName", "SubjectUserName")
  END AS "user",
  CASE WHEN "EventID" = 4688 AND "TargetUserName" <> '-' THEN "TargetUserSid" ELSE "SubjectUserSid" END AS user_sid,
  CASE
    WHEN "EventID" = 1 THEN "LogonId"
    WHEN "TargetUserName" <> '-' THEN "TargetLogonId"
    ELSE "SubjectLogonId"
  END AS logon_id,
  coalesce("IntegrityLevel", "MandatoryLabel") AS integrity_level,
  "Hashes" AS hashes
FROM source
WHERE ("EventID" = 1 AND ("Image" IS NOT NULL OR "Message" IS NULL)
    AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%'
      OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "UtcTime" IS NOT NULL AND "ProcessGuid" IS NOT NULL AND "Image" IS NOT NULL)))
   OR ("EventID" = 4688
    AND ("Channel" ILIKE 'security' OR "Provider" ILIKE '%security-auditing'
      OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "NewProcessName" IS NOT NULL)))
