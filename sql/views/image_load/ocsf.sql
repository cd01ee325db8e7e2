-- Module Activity 1005: Load. The actor's process loaded it.
SELECT
  'ocsf:1005' AS event_type,
  coalesce("device_uid", "device_hostname", "device_name", "device_ip") AS host_id,
  coalesce("device_hostname", "device_name", "device_uid", "device_ip") AS host_name,
  coalesce("actor_process_file_path", "actor_process_name", "actor_process_file_name") AS image,
  base_name(coalesce("actor_process_file_path", "actor_process_name", "actor_process_file_name")) AS process_name,
  "actor_process_pid" AS process_id,
  "actor_process_uid" AS process_guid,
  coalesce("module_file_path", "module_file_name") AS image_loaded,
  base_name(coalesce("module_file_path", "module_file_name")) AS image_loaded_name,
  "module_file_internal_name" AS original_file_name,
  CASE WHEN "module_file_signature_state_id" BETWEEN 1 AND 4 THEN true END AS signed,
  "module_file_signature_certificate_subject" AS signature,
  "module_file_signature_state" AS signature_status,
  CASE
    WHEN "actor_user_name" IS NOT NULL AND strpos("actor_user_name", '\') = 0
      THEN coalesce("actor_user_domain" || '\' || "actor_user_name", "actor_user_name")
    ELSE "actor_user_name"
  END AS "user"
FROM source
WHERE "class_uid" = 1005 AND coalesce("activity_id", 1) = 1
