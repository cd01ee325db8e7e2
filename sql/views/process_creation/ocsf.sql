-- Process Activity 1007: Launch. The parent is `process.parent_process`, else the actor, who launched it. CrowdStrike's converters write
-- a start as Open (3), which from others is the opening of a handle. Events of the Falcon Data Replicator have a SELECT of their own.
SELECT
  'ocsf:1007' AS event_type,
  coalesce("device_uid", "device_hostname", "device_name", "device_ip") AS host_id,
  coalesce("device_hostname", "device_name", "device_uid", "device_ip") AS host_name,
  coalesce("process_file_path", "process_file_name", "process_name") AS image,
  base_name(coalesce("process_file_path", "process_name", "process_file_name")) AS process_name,
  "process_file_internal_name" AS original_file_name,
  "process_cmd_line" AS command_line,
  "process_working_directory" AS current_directory,
  "process_pid" AS process_id,
  "process_uid" AS process_guid,
  coalesce("process_parent_process_file_path", "actor_process_file_path", "process_parent_process_name", "actor_process_name") AS parent_image,
  base_name(coalesce("process_parent_process_file_path", "process_parent_process_name", "process_parent_process_file_name",
    "actor_process_file_path", "actor_process_name", "actor_process_file_name")) AS parent_process_name,
  coalesce("process_parent_process_cmd_line", "actor_process_cmd_line") AS parent_command_line,
  coalesce("process_parent_process_pid", "actor_process_pid") AS parent_process_id,
  coalesce("process_parent_process_uid", "actor_process_uid") AS parent_process_guid,
  CASE
    WHEN "process_user_name" IS NOT NULL AND strpos("process_user_name", '\') = 0
      THEN coalesce("process_user_domain" || '\' || "process_user_name", "process_user_name")
    WHEN "process_user_name" IS NOT NULL THEN "process_user_name"
    WHEN strpos("actor_user_name", '\') = 0 THEN coalesce("actor_user_domain" || '\' || "actor_user_name", "actor_user_name")
    ELSE "actor_user_name"
  END AS "user",
  coalesce("process_user_uid", "actor_user_uid") AS user_sid,
  coalesce("process_session_uid", "actor_session_uid") AS logon_id,
  CASE "process_integrity_id"
    WHEN 1 THEN 'Untrusted' WHEN 2 THEN 'Low' WHEN 3 THEN 'Medium' WHEN 4 THEN 'High' WHEN 5 THEN 'System' WHEN 6 THEN 'Protected'
    ELSE "process_integrity"
  END AS integrity_level
FROM source
WHERE "class_uid" = 1007
  AND ("activity_id" = 1 OR ("activity_id" = 3 AND "metadata_product_vendor_name" ILIKE 'crowdstrike%'))
  AND coalesce("metadata_log_provider", '') <> 'Falcon Data Replicator'
