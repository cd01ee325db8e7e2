-- Sysmon 3 and Security 5156, whatever ships them, where source and destination are the ends that opened and that answered.
-- What the other file takes is left out here. An export that lost channel and provider is known by the fields that only these events have.
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
  coalesce("Initiated", CASE WHEN lower("Direction") IN ('%%14593', 'outbound', 'egress') THEN true WHEN lower("Direction") IN ('%%14592', 'inbound', 'ingress') THEN false END) AS initiated,
  CASE WHEN coalesce("Initiated", lower("Direction") IN ('%%14593', 'outbound', 'egress')) THEN 'outbound' WHEN coalesce(NOT "Initiated", lower("Direction") IN ('%%14592', 'inbound', 'ingress')) THEN 'inbound' END AS direction,
  CASE "Protocol" WHEN '6' THEN 'tcp' WHEN '17' THEN 'udp' ELSE lower("Protocol") END AS protocol,
  coalesce("SourceIp", "SourceAddress") AS source_ip,
  "SourcePort" AS source_port,
  nullif(nullif("SourceHostname", '-'), '') AS source_hostname,
  coalesce("DestinationIp", "DestAddress") AS destination_ip,
  coalesce("DestinationPort", "DestPort") AS destination_port,
  nullif(nullif("DestinationHostname", '-'), '') AS destination_hostname
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
  )) IS NOT TRUE
