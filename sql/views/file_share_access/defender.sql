-- DeviceFileEvents of a change that came in over SMB. They name the file and the share but not the way between: the relative name is
-- the file's own.
SELECT
  'defender:' || "ActionType" AS event_type,
  coalesce("DeviceId", "DeviceName") AS host_id,
  coalesce("DeviceName", "DeviceId") AS host_name,
  "ShareName" AS share_name,
  base_name(coalesce("FileName", "FolderPath")) AS relative_target_name,
  'File' AS object_type,
  "ActionType" AS access_list,
  coalesce(nullif("RequestAccountDomain", '') || '\' || "RequestAccountName", "RequestAccountName") AS "user",
  nullif("RequestAccountSid", '') AS user_sid,
  regexp_extract("RequestSourceIP", '^(?i:::ffff:)?(.+)$', 1) AS source_ip,
  "RequestSourcePort" AS source_port
FROM source
WHERE "RequestProtocol" ILIKE 'smb%' AND "ActionType" LIKE 'File%'
