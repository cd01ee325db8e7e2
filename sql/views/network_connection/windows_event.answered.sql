-- Sysmon 3 and Security 5156 of connections that this host answered, where the sensor calls this host's own end the source: Sysmon
-- before version 11 and Windows before 10 do so for all that they answer, Sysmon since then for UDP. Records do not say which way round
-- they are; ports do: a client's is not the lower of two kinds (below 1024, below 32768, and the rest, which systems give to clients).
-- Of two ports of the last kind the names tell, where there are any. The ends are exchanged, so that the source opened the connection.
SELECT
  CASE WHEN "EventID" = 3 THEN 'sysmon:3' ELSE 'security:5156' END AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  coalesce("Image", "Application") AS image,
  base_name(coalesce("Image", "Application")) AS process_name,
  -- Older nxlog left the event's own id in the rendered text only: see process_creation.
  CASE
    WHEN "ThreadID" IS NOT NULL AND "ExecutionProcessID" IS NULL AND "Message" IS NOT NULL THEN parse_int(regexp_extract("Message", '(?m)^\s*Process ?I[Dd]:\s*(\d+)', 1))
    ELSE "ProcessId"
  END AS process_id,
  "ProcessGuid" AS process_guid,
  "User" AS "user",
  false AS initiated,
  'inbound' AS direction,
  CASE "Protocol" WHEN '6' THEN 'tcp' WHEN '17' THEN 'udp' ELSE lower("Protocol") END AS protocol,
  coalesce("DestinationIp", "DestAddress") AS source_ip,
  coalesce("DestinationPort", "DestPort") AS source_port,
  nullif(nullif("DestinationHostname", '-'), '') AS source_hostname,
  coalesce("SourceIp", "SourceAddress") AS destination_ip,
  "SourcePort" AS destination_port,
  nullif(nullif("SourceHostname", '-'), '') AS destination_hostname
FROM source
WHERE (("EventID" = 3
      AND ("Channel" ILIKE '%sysmon%' OR "Provider" ILIKE '%sysmon%'
        OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "UtcTime" IS NOT NULL AND "ProcessGuid" IS NOT NULL AND "DestinationIp" IS NOT NULL)))
    OR ("EventID" = 5156
      AND ("Channel" ILIKE 'security' OR "Provider" ILIKE '%security-auditing'
        OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "Application" IS NOT NULL AND "Direction" IS NOT NULL))))
  AND (coalesce(NOT "Initiated", lower("Direction") IN ('%%14592', 'inbound', 'ingress')) AND (
       ("SourcePort" < 1024 AND coalesce("DestinationPort", "DestPort") >= 1024)
    OR ("SourcePort" < 32768 AND coalesce("DestinationPort", "DestPort") >= 32768)
    OR ("EventID" = 3 AND "Protocol" ILIKE 'udp' AND "SourcePort" <= "DestinationPort")
    OR ("SourcePort" >= 32768 AND coalesce("DestinationPort", "DestPort") >= 32768
        AND split_part(lower("SourceHostname"), '.', 1) = split_part(lower("Computer"), '.', 1)
        AND split_part(lower(coalesce("DestinationHostname", '')), '.', 1) <> split_part(lower("Computer"), '.', 1))
  )) IS TRUE
