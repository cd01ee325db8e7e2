-- Sysmon 7, whatever ships it. `OriginalFileName` and `Hashes` are the loaded image's.
-- An export that lost channel and provider is known by the fields that only these events have.
SELECT
  'sysmon:7' AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  "Image" AS image,
  base_name("Image") AS process_name,
  -- Older nxlog left the event's own id in the rendered text only: see process_creation.
  CASE
    WHEN "ThreadID" IS NOT NULL AND "ExecutionProcessID" IS NULL AND "Message" IS NOT NULL THEN parse_int(regexp_extract("Message", '(?m)^ProcessId: (\d+)', 1))
    ELSE "ProcessId"
  END AS process_id,
  "ProcessGuid" AS process_guid,
  "ImageLoaded" AS image_loaded,
  base_name("ImageLoaded") AS image_loaded_name,
  "OriginalFileName" AS original_file_name,
  "Signed" AS signed,
  "Signature" AS signature,
  "SignatureStatus" AS signature_status,
  "Hashes" AS hashes,
  "User" AS "user"
FROM source
WHERE "EventID" = 7
  AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%'
    OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "UtcTime" IS NOT NULL AND "ProcessGuid" IS NOT NULL AND "ImageLoaded" IS NOT NULL))
