-- Zeek's dce_rpc.log. The host is the server, as in network_connection. A log without `_path` is told by its own fields.
SELECT
  'zeek:dce_rpc' AS event_type,
  "id_resp_h" AS host_id,
  "id_resp_h" AS host_name,
  "id_orig_h" AS source_ip,
  "id_orig_p" AS source_port,
  "id_resp_h" AS destination_ip,
  "id_resp_p" AS destination_port,
  "endpoint" AS endpoint,
  "operation" AS operation,
  "named_pipe" AS named_pipe,
  "rtt" AS rtt,
  "uid" AS uid
FROM source
WHERE "log" = 'dce_rpc' OR ("log" IS NULL AND "endpoint" IS NOT NULL AND "operation" IS NOT NULL)
