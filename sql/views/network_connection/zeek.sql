-- Zeek's conn.log. Zeek sits on the wire and has no host of its own. The host is the end that answered, so that what reached a host is
-- counted by host; where Zeek knows that only the opener is local (local_orig, local_resp), it is the opener.
-- A log without `_path` is told by conn_state, which only conn has.
SELECT
  'zeek:conn' AS event_type,
  CASE WHEN "local_orig" AND NOT "local_resp" THEN "id_orig_h" ELSE "id_resp_h" END AS host_id,
  CASE WHEN "local_orig" AND NOT "local_resp" THEN "id_orig_h" ELSE "id_resp_h" END AS host_name,
  coalesce("local_orig" AND NOT "local_resp", false) AS initiated,
  CASE WHEN "local_orig" AND NOT "local_resp" THEN 'outbound' ELSE 'inbound' END AS direction,
  lower("proto") AS protocol,
  "id_orig_h" AS source_ip,
  "id_orig_p" AS source_port,
  "id_resp_h" AS destination_ip,
  "id_resp_p" AS destination_port
FROM source
WHERE "log" = 'conn' OR ("log" IS NULL AND "conn_state" IS NOT NULL)
