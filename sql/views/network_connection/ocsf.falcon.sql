-- Connections of the Falcon Data Replicator as Query's pipeline converts them: the source is always this sensor's end, its address the
-- public one (the local one is in a list, which Parquet has no column for). The ends are swapped when the connection came
-- in. Where the direction is unknown (0, or not there) or within the network (3), the event's name says it; the sensor's end would not.
SELECT
  'ocsf:4001' AS event_type,
  coalesce(regexp_extract("src_endpoint_agent_list", '"uid"\s*:\s*"([^"]+)"', 1), "src_endpoint_ip") AS host_id,
  coalesce("src_endpoint_hostname", regexp_extract("src_endpoint_agent_list", '"uid"\s*:\s*"([^"]+)"', 1), "src_endpoint_ip") AS host_name,
  "unmapped_ContextProcessId" AS process_guid,
  CASE WHEN ("connection_info_direction_id" = 1 OR (coalesce("connection_info_direction_id", 0) IN (0, 3) AND "metadata_log_name" LIKE 'NetworkReceiveAccept%')) THEN false WHEN coalesce("connection_info_direction_id", 0) IN (0, 2, 3) THEN true END AS initiated,
  CASE WHEN ("connection_info_direction_id" = 1 OR (coalesce("connection_info_direction_id", 0) IN (0, 3) AND "metadata_log_name" LIKE 'NetworkReceiveAccept%')) THEN 'inbound' WHEN coalesce("connection_info_direction_id", 0) IN (0, 2, 3) THEN 'outbound' END AS direction,
  CASE "unmapped_Protocol" WHEN '6' THEN 'tcp' WHEN '17' THEN 'udp' ELSE lower("unmapped_Protocol") END AS protocol,
  CASE WHEN ("connection_info_direction_id" = 1 OR (coalesce("connection_info_direction_id", 0) IN (0, 3) AND "metadata_log_name" LIKE 'NetworkReceiveAccept%')) THEN "dst_endpoint_ip"
    ELSE coalesce(regexp_extract("src_endpoint_intermediate_ips", '"([^"]+)"', 1), "src_endpoint_ip") END AS source_ip,
  CASE WHEN ("connection_info_direction_id" = 1 OR (coalesce("connection_info_direction_id", 0) IN (0, 3) AND "metadata_log_name" LIKE 'NetworkReceiveAccept%')) THEN "dst_endpoint_port" ELSE "src_endpoint_port" END AS source_port,
  CASE WHEN ("connection_info_direction_id" = 1 OR (coalesce("connection_info_direction_id", 0) IN (0, 3) AND "metadata_log_name" LIKE 'NetworkReceiveAccept%')) THEN coalesce(regexp_extract("src_endpoint_intermediate_ips", '"([^"]+)"', 1), "src_endpoint_ip")
    ELSE "dst_endpoint_ip" END AS destination_ip,
  CASE WHEN ("connection_info_direction_id" = 1 OR (coalesce("connection_info_direction_id", 0) IN (0, 3) AND "metadata_log_name" LIKE 'NetworkReceiveAccept%')) THEN "src_endpoint_port" ELSE "dst_endpoint_port" END AS destination_port
FROM source
WHERE "class_uid" = 4001 AND "metadata_log_provider" = 'Falcon Data Replicator'
  AND ("metadata_log_name" LIKE 'NetworkConnect%' OR "metadata_log_name" LIKE 'NetworkReceiveAccept%')
