-- Zeek's smb_files.log: the share as the client named it, and the file in it. The host is the server.
SELECT
  'zeek:smb_files' AS event_type,
  "id_resp_h" AS host_id,
  "id_resp_h" AS host_name,
  "path" AS share_name,
  "name" AS relative_target_name,
  'File' AS object_type,
  "action" AS access_list,
  "id_orig_h" AS source_ip,
  "id_orig_p" AS source_port
FROM source
WHERE "log" = 'smb_files' OR ("log" IS NULL AND "action" LIKE 'SMB::%')
