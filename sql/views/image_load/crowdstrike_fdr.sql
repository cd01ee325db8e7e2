-- ImageFileName is the module here, TargetImageFileName the process that loaded it (as the Sigma project maps them).
SELECT
  'crowdstrike:' || "event_simpleName" AS event_type,
  "aid" AS host_id,
  coalesce(CASE WHEN "ComputerName" NOT IN ('', '0', 'N/A') THEN "ComputerName" END, "aid") AS host_name,
  nullif("TargetImageFileName", '') AS image,
  base_name(coalesce(nullif("TargetImageFileName", ''), nullif("ContextBaseFileName", ''))) AS process_name,
  coalesce("TargetProcessId", "ContextProcessId") AS process_guid,
  "ImageFileName" AS image_loaded,
  base_name(coalesce("ImageFileName", nullif("FileName", ''))) AS image_loaded_name,
  nullif("OriginalFilename", '') AS original_file_name,
  nullif(concat_ws(',',
    'SHA256=' || CASE WHEN "SHA256HashData" ~ '[1-9a-fA-F]' THEN "SHA256HashData" END,
    'MD5=' || CASE WHEN "MD5HashData" ~ '[1-9a-fA-F]' THEN "MD5HashData" END), '') AS hashes,
  nullif(nullif("UserName", ''), 'N/A') AS "user"
FROM source
WHERE "event_simpleName" = 'ClassifiedModuleLoad'
