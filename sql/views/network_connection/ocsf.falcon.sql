-- Connections of the Falcon Data Replicator as Query's pipeline converts them: the source is always this sensor's end, its address the
-- public one (the local one is in a list, which Parquet has no column for). The ends are swapped when the connection came in.
SELECT
  'ocsf:4001' AS event_type,
  coalesce(regexp_extract("src_endpoint_agent_list", '"uid"\s*:\s*"([^"]+)"', 1), "src_endpoint_ip") AS host_id,
  coalesce("src_endpoint_hostname", regexp_extract("src_endpoint_agent_list", '"uid"\s*:\s*"([^"]+)"', 1), "src_endpoint_ip") AS host_name,
  "unmapped_ContextProcessId" AS process_guid,
  CASE "connection_info_direction_id" WHEN 1 THEN false WHEN 2 THEN true END AS initiated,
  CASE "connection_info_direction_id" WHEN 1 THEN 'inbound' WHEN 2 THEN 'outbound' END AS direction,
  CASE "unmapped_Protocol" WHEN '6' THEN 'tcp' WHEN '17' THEN 'udp' ELSE lower("unmapped_Protocol") END AS protocol,
  CASE WHEN "connection_info_direction_id" = 1 THEN "dst_endpoint_ip"
    ELSE coalesce(regexp_extract("src_endpoint_intermediate_ips", '"([^"]+)"', 1), "src_endpoint_ip") END AS source_ip,
  CASE WHEN "connection_info_direction_id" = 1 THEN "dst_endpoint_port" ELSE "src_endpoint_port" END AS source_port,
  CASE WHEN "connection_info_direction_id" = 1 THEN coalesce(regexp_extract("src_endpoint_intermediate_ips", '"([^"]+)"', 1), "src_endpoint_ip")
    ELSE "dst_endpoint_ip" END AS destination_ip,
  CASE WHEN "connection_info_direction_id" = 1 THEN "src_endpoint_port" ELSE "dst_endpoint_port" END AS destination_port
FROM source
WHERE "class_uid" = 4001 AND "metadata_log_provider" = 'Falcon Data Replicator'
  AND ("metadata_log_name" LIKE 'NetworkConnect%' OR "metadata_log_name" LIKE 'NetworkReceiveAccept%')
