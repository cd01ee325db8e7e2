-- DeviceProcessEvents. Exports of some columns only, and the raw shape, have no ActionType: there a command line or a process id of
-- the event's own says that it is a created process. DeviceEvents' ProcessCreatedUsingWmiQuery is a second report of one process
-- and is in wmi_activity.
-- The initiating process is the parent. FolderPath holds the whole path in most rows, the folder in some.
SELECT
  'defender:' || coalesce("ActionType", 'ProcessCreated') AS event_type,
  coalesce("DeviceId", "DeviceName") AS host_id,
  coalesce("DeviceName", "DeviceId") AS host_name,
  CASE
    WHEN "FolderPath" IS NULL OR "FolderPath" = '' THEN "FileName"
    WHEN "FileName" IS NULL OR lower(base_name("FolderPath")) = lower(base_name("FileName")) THEN "FolderPath"
    WHEN strpos("FolderPath", '/') > 0 THEN rtrim("FolderPath", '/') || '/' || "FileName"
    ELSE rtrim("FolderPath", '\') || '\' || "FileName"
  END AS image,
  base_name(coalesce("FileName", "FolderPath")) AS process_name,
  nullif("ProcessVersionInfoOriginalFileName", '') AS original_file_name,
  "ProcessCommandLine" AS command_line,
  "ProcessId" AS process_id,
  coalesce("DeviceId", "DeviceName") || ':' || coalesce("ProcessUniqueId", "ProcessId" || ':' || "ProcessCreationTime") AS process_guid,
  CASE
    WHEN "InitiatingProcessFolderPath" IS NULL OR "InitiatingProcessFolderPath" = '' THEN "InitiatingProcessFileName"
    WHEN "InitiatingProcessFileName" IS NULL
      OR lower(base_name("InitiatingProcessFolderPath")) = lower(base_name("InitiatingProcessFileName")) THEN "InitiatingProcessFolderPath"
    WHEN strpos("InitiatingProcessFolderPath", '/') > 0 THEN rtrim("InitiatingProcessFolderPath", '/') || '/' || "InitiatingProcessFileName"
    ELSE rtrim("InitiatingProcessFolderPath", '\') || '\' || "InitiatingProcessFileName"
  END AS parent_image,
  base_name(coalesce("InitiatingProcessFileName", "InitiatingProcessFolderPath")) AS parent_process_name,
  "InitiatingProcessCommandLine" AS parent_command_line,
  "InitiatingProcessId" AS parent_process_id,
  coalesce("DeviceId", "DeviceName") || ':' || coalesce("InitiatingProcessUniqueId", "InitiatingProcessId" || ':' || "InitiatingProcessCreationTime") AS parent_process_guid,
  coalesce(nullif("AccountDomain", '') || '\' || "AccountName", "AccountName") AS "user",
  nullif("AccountSid", '') AS user_sid,
  '0x' || to_hex("LogonId") AS logon_id,
  nullif("ProcessIntegrityLevel", '') AS integrity_level,
  nullif(concat_ws(',', 'SHA256=' || nullif("SHA256", ''), 'SHA1=' || nullif("SHA1", ''), 'MD5=' || nullif("MD5", '')), '') AS hashes
FROM source
WHERE "ActionType" = 'ProcessCreated'
   OR (("ActionType" IS NULL OR "ActionType" = '') AND ("ProcessCommandLine" IS NOT NULL OR "ProcessId" IS NOT NULL))
