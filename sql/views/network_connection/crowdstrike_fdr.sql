-- Local and remote are this sensor's ends; ConnectionDirection says who opened: 0 this host, 1 the other, 2 and 3 neither and both.
-- Where it is absent the event's name says it. NetworkListen is no connection. Events name their process by CrowdStrike's id
-- only: join process_creation by host_id and process_guid.
SELECT
  'crowdstrike:' || "event_simpleName" AS event_type,
  "aid" AS host_id,
  coalesce(nullif("ComputerName", ''), "aid") AS host_name,
  base_name(nullif("ContextBaseFileName", '')) AS process_name,
  "ContextProcessId" AS process_guid,
  nullif(nullif("UserName", ''), 'N/A') AS "user",
  CASE
    WHEN "ConnectionDirection" = 0 THEN true
    WHEN "ConnectionDirection" = 1 THEN false
    WHEN "ConnectionDirection" IS NULL THEN "event_simpleName" LIKE 'NetworkConnect%'
  END AS initiated,
  CASE
    WHEN "ConnectionDirection" = 0 THEN 'outbound'
    WHEN "ConnectionDirection" = 1 THEN 'inbound'
    WHEN "ConnectionDirection" IS NULL AND "event_simpleName" LIKE 'NetworkConnect%' THEN 'outbound'
    WHEN "ConnectionDirection" IS NULL THEN 'inbound'
  END AS direction,
  CASE "Protocol" WHEN '6' THEN 'tcp' WHEN '17' THEN 'udp' ELSE lower(nullif("Protocol", '')) END AS protocol,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN coalesce(nullif("RemoteAddressIP4", ''), nullif("RemoteAddressIP6", ''))
    ELSE coalesce(nullif("LocalAddressIP4", ''), nullif("LocalAddressIP6", ''))
  END AS source_ip,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN "RemotePort" ELSE "LocalPort"
  END AS source_port,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN coalesce(nullif("LocalAddressIP4", ''), nullif("LocalAddressIP6", ''))
    ELSE coalesce(nullif("RemoteAddressIP4", ''), nullif("RemoteAddressIP6", ''))
  END AS destination_ip,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN "LocalPort" ELSE "RemotePort"
  END AS destination_port
FROM source
WHERE "event_simpleName" IN ('NetworkConnectIP4', 'NetworkConnectIP6', 'NetworkReceiveAcceptIP4', 'NetworkReceiveAcceptIP6')
