-- DeviceImageLoadEvents: the event's file is the module, the initiating process loaded it.
SELECT
  'defender:' || "ActionType" AS event_type,
  coalesce("DeviceId", "DeviceName") AS host_id,
  coalesce("DeviceName", "DeviceId") AS host_name,
  CASE
    WHEN "InitiatingProcessFolderPath" IS NULL OR "InitiatingProcessFolderPath" = '' THEN "InitiatingProcessFileName"
    WHEN "InitiatingProcessFileName" IS NULL
      OR lower(base_name("InitiatingProcessFolderPath")) = lower(base_name("InitiatingProcessFileName")) THEN "InitiatingProcessFolderPath"
    WHEN strpos("InitiatingProcessFolderPath", '/') > 0 THEN rtrim("InitiatingProcessFolderPath", '/') || '/' || "InitiatingProcessFileName"
    ELSE rtrim("InitiatingProcessFolderPath", '\') || '\' || "InitiatingProcessFileName"
  END AS image,
  base_name(coalesce("InitiatingProcessFileName", "InitiatingProcessFolderPath")) AS process_name,
  "InitiatingProcessId" AS process_id,
  coalesce("DeviceId", "DeviceName") || ':' || coalesce("InitiatingProcessUniqueId", "InitiatingProcessId" || ':' || "InitiatingProcessCreationTime") AS process_guid,
  CASE
    WHEN "FolderPath" IS NULL OR "FolderPath" = '' THEN "FileName"
    WHEN "FileName" IS NULL OR lower(base_name("FolderPath")) = lower(base_name("FileName")) THEN "FolderPath"
    WHEN strpos("FolderPath", '/') > 0 THEN rtrim("FolderPath", '/') || '/' || "FileName"
    ELSE rtrim("FolderPath", '\') || '\' || "FileName"
  END AS image_loaded,
  base_name(coalesce("FileName", "FolderPath")) AS image_loaded_name,
  nullif(concat_ws(',', 'SHA256=' || nullif("SHA256", ''), 'SHA1=' || nullif("SHA1", ''), 'MD5=' || nullif("MD5", '')), '') AS hashes,
  coalesce(nullif("InitiatingProcessAccountDomain", '') || '\' || "InitiatingProcessAccountName", "InitiatingProcessAccountName") AS "user"
FROM source
WHERE "ActionType" = 'ImageLoaded'
