-- SMB Activity 4006. The server is the device, else the destination.
SELECT
  'ocsf:4006' AS event_type,
  coalesce("device_uid", "device_hostname", "device_name", "device_ip", "dst_endpoint_uid", "dst_endpoint_hostname", "dst_endpoint_ip") AS host_id,
  coalesce("device_hostname", "device_name", "device_uid", "device_ip", "dst_endpoint_hostname", "dst_endpoint_uid", "dst_endpoint_ip") AS host_name,
  "share" AS share_name,
  coalesce("file_path", "file_name") AS relative_target_name,
  "file_type" AS object_type,
  CASE
    WHEN "actor_user_name" IS NOT NULL AND strpos("actor_user_name", '\') = 0
      THEN coalesce("actor_user_domain" || '\' || "actor_user_name", "actor_user_name")
    ELSE "actor_user_name"
  END AS "user",
  "actor_user_uid" AS user_sid,
  "actor_session_uid" AS logon_id,
  "src_endpoint_ip" AS source_ip,
  "src_endpoint_port" AS source_port
FROM source
WHERE "class_uid" = 4006
