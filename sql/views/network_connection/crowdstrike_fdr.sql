-- Local and remote are this sensor's ends; ConnectionDirection says who opened: 0 this host, 1 the other, 2 and 3 neither and both.
-- Where it is absent the event's name says it. NetworkListen is no connection. Events name their process by CrowdStrike's id
-- only: join process_creation by host_id and process_guid. What is not known is written `0` or `N/A`.
SELECT
  'crowdstrike:' || "event_simpleName" AS event_type,
  "aid" AS host_id,
  coalesce(CASE WHEN "ComputerName" NOT IN ('', '0', 'N/A') THEN "ComputerName" END, "aid") AS host_name,
  base_name(CASE WHEN "ContextBaseFileName" NOT IN ('', '0', 'N/A') THEN "ContextBaseFileName" END) AS process_name,
  CASE WHEN "ContextProcessId" NOT IN ('', '0', 'N/A') THEN "ContextProcessId" END AS process_guid,
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
  CASE "Protocol" WHEN '6' THEN 'tcp' WHEN '17' THEN 'udp' ELSE lower(nullif(nullif("Protocol", ''), 'N/A')) END AS protocol,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN coalesce(CASE WHEN "RemoteAddressIP4" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP4" END, CASE WHEN "RemoteAddressIP6" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP6" END)
    ELSE coalesce(CASE WHEN "LocalAddressIP4" NOT IN ('', '0', 'N/A') THEN "LocalAddressIP4" END, CASE WHEN "LocalAddressIP6" NOT IN ('', '0', 'N/A') THEN "LocalAddressIP6" END)
  END AS source_ip,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN nullif("RemotePort", 0) ELSE nullif("LocalPort", 0)
  END AS source_port,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN coalesce(CASE WHEN "LocalAddressIP4" NOT IN ('', '0', 'N/A') THEN "LocalAddressIP4" END, CASE WHEN "LocalAddressIP6" NOT IN ('', '0', 'N/A') THEN "LocalAddressIP6" END)
    ELSE coalesce(CASE WHEN "RemoteAddressIP4" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP4" END, CASE WHEN "RemoteAddressIP6" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP6" END)
  END AS destination_ip,
  CASE
    WHEN "ConnectionDirection" = 1 OR ("event_simpleName" LIKE 'NetworkReceiveAccept%' AND coalesce("ConnectionDirection", 1) <> 0)
    THEN nullif("LocalPort", 0) ELSE nullif("RemotePort", 0)
  END AS destination_port
FROM source
WHERE "event_simpleName" IN ('NetworkConnectIP4', 'NetworkConnectIP6', 'NetworkReceiveAcceptIP4', 'NetworkReceiveAcceptIP6')
