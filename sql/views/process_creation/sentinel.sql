-- Security 4688 and Sysmon 1. An export of some columns only has neither channel nor provider; then the number says it.
-- In 4688 `ProcessId` is the creator's.
SELECT
  CASE WHEN "EventID" = 1 THEN 'sysmon:1' ELSE 'security:4688' END AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  coalesce("NewProcessName", "Image") AS image,
  base_name(coalesce("NewProcessName", "Image")) AS process_name,
  "OriginalFileName" AS original_file_name,
  "CommandLine" AS command_line,
  "CurrentDirectory" AS current_directory,
  CASE WHEN "EventID" = 1 THEN "ProcessId" ELSE "NewProcessId" END AS process_id,
  "ProcessGuid" AS process_guid,
  coalesce("ParentImage", nullif("ParentProcessName", '')) AS parent_image,
  base_name(coalesce("ParentImage", nullif("ParentProcessName", ''))) AS parent_process_name,
  "ParentCommandLine" AS parent_command_line,
  CASE WHEN "EventID" = 1 THEN "ParentProcessId" ELSE "ProcessId" END AS parent_process_id,
  "ParentProcessGuid" AS parent_process_guid,
  CASE
    WHEN "EventID" = 1 THEN "User"
    WHEN "TargetUserName" NOT IN ('-', '') THEN coalesce(nullif("TargetDomainName", '') || '\' || "TargetUserName", "TargetUserName")
    ELSE coalesce(nullif("SubjectDomainName", '') || '\' || "SubjectUserName", "SubjectUserName")
  END AS "user",
  CASE WHEN "EventID" = 4688 AND "TargetUserName" NOT IN ('-', '') THEN "TargetUserSid" ELSE "SubjectUserSid" END AS user_sid,
  CASE
    WHEN "EventID" = 1 THEN "LogonId"
    WHEN "TargetUserName" NOT IN ('-', '') THEN "TargetLogonId"
    ELSE "SubjectLogonId"
  END AS logon_id,
  coalesce("IntegrityLevel", nullif("MandatoryLabel", '')) AS integrity_level,
  "Hashes" AS hashes
FROM source
WHERE ("EventID" = 4688 AND ("Channel" ILIKE 'security' OR "Provider" ILIKE '%security-auditing' OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '')))
   OR ("EventID" = 1 AND "Image" IS NOT NULL
    AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%'
      OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "UtcTime" IS NOT NULL AND "ProcessGuid" IS NOT NULL)))
