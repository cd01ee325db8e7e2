-- Network Activity 4001, all but listening sockets. OCSF's source is the end that opened. Where a flow log names no device, the host is
-- the end that answered. Where the direction is unknown (0, or not there) or within the network (3), the device's own address says it.
SELECT
  'ocsf:4001' AS event_type,
  coalesce("device_uid", "device_hostname", "device_name", "device_ip", "dst_endpoint_uid", "dst_endpoint_hostname", "dst_endpoint_ip") AS host_id,
  coalesce("device_hostname", "device_name", "device_uid", "device_ip", "dst_endpoint_hostname", "dst_endpoint_uid", "dst_endpoint_ip") AS host_name,
  coalesce("actor_process_file_path", "actor_process_name", "actor_process_file_name") AS image,
  base_name(coalesce("actor_process_file_path", "actor_process_name", "actor_process_file_name")) AS process_name,
  "actor_process_pid" AS process_id,
  "actor_process_uid" AS process_guid,
  CASE
    WHEN "actor_user_name" IS NOT NULL AND strpos("actor_user_name", '\') = 0
      THEN coalesce("actor_user_domain" || '\' || "actor_user_name", "actor_user_name")
    WHEN "actor_user_name" IS NOT NULL THEN "actor_user_name"
    WHEN strpos("actor_process_user_name", '\') = 0
      THEN coalesce("actor_process_user_domain" || '\' || "actor_process_user_name", "actor_process_user_name")
    ELSE "actor_process_user_name"
  END AS "user",
  CASE
    WHEN "connection_info_direction_id" = 1 THEN false
    WHEN "connection_info_direction_id" = 2 THEN true
    WHEN coalesce("connection_info_direction_id", 0) NOT IN (0, 3) OR lower("src_endpoint_ip") = lower("dst_endpoint_ip") THEN NULL
    WHEN lower("device_ip") = lower("dst_endpoint_ip") THEN false
    WHEN lower("device_ip") = lower("src_endpoint_ip") THEN true
  END AS initiated,
  CASE
    WHEN "connection_info_direction_id" = 1 THEN 'inbound'
    WHEN "connection_info_direction_id" = 2 THEN 'outbound'
    WHEN coalesce("connection_info_direction_id", 0) NOT IN (0, 3) OR lower("src_endpoint_ip") = lower("dst_endpoint_ip") THEN NULL
    WHEN lower("device_ip") = lower("dst_endpoint_ip") THEN 'inbound'
    WHEN lower("device_ip") = lower("src_endpoint_ip") THEN 'outbound'
  END AS direction,
  coalesce(lower(nullif("connection_info_protocol_name", '')),
    CASE "connection_info_protocol_num" WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' ELSE CAST("connection_info_protocol_num" AS VARCHAR) END) AS protocol,
  "src_endpoint_ip" AS source_ip,
  "src_endpoint_port" AS source_port,
  "src_endpoint_hostname" AS source_hostname,
  "dst_endpoint_ip" AS destination_ip,
  "dst_endpoint_port" AS destination_port,
  "dst_endpoint_hostname" AS destination_hostname
FROM source
WHERE "class_uid" = 4001 AND coalesce("activity_id", 0) <> 7 AND coalesce("metadata_log_provider", '') <> 'Falcon Data Replicator'
