-- Process starts of the Falcon Data Replicator as Query's pipeline converts them: activity Open, the customer's id as `device.uid`
-- (the sensor's is in a list, which Parquet has no column for: there the host is its public address), the whole path as the file's
-- name, the creator's id as `process.uid` and the process's own in `unmapped`. `time` is receipt, local to the converter: say its
-- zone in the lake file.
SELECT
  'ocsf:1007' AS event_type,
  coalesce(regexp_extract("device_agent_list", '"uid"\s*:\s*"([^"]+)"', 1), "device_hostname", "device_ip") AS host_id,
  coalesce("device_hostname", regexp_extract("device_agent_list", '"uid"\s*:\s*"([^"]+)"', 1), "device_ip") AS host_name,
  coalesce("process_file_path", "process_file_name") AS image,
  base_name(coalesce("process_file_path", "process_file_name", "process_name")) AS process_name,
  "process_cmd_line" AS command_line,
  "process_pid" AS process_id,
  "unmapped_TargetProcessId" AS process_guid,
  "process_parent_process_file_path" AS parent_image,
  base_name(coalesce("process_parent_process_file_path", "process_parent_process_file_name")) AS parent_process_name,
  "process_parent_process_cmd_line" AS parent_command_line,
  "process_parent_process_uid" AS parent_process_guid,
  "unmapped_UserSid" AS user_sid,
  CASE "unmapped_IntegrityLevel"
    WHEN '4096' THEN 'Low' WHEN '8192' THEN 'Medium' WHEN '8448' THEN 'Medium' WHEN '12288' THEN 'High' WHEN '16384' THEN 'System'
  END AS integrity_level
FROM source
WHERE "class_uid" = 1007 AND "activity_id" IN (1, 3) AND "metadata_log_provider" = 'Falcon Data Replicator'
