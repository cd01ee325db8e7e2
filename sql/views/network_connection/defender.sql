-- DeviceNetworkEvents: connections opened, tried and found, and those accepted, whose ends are swapped. Listening sockets and the
-- `*Inspected` events, which repeat a connection, are left out. IPv4 addresses written as IPv6 are cut to IPv4.
SELECT
  'defender:' || coalesce("ActionType", 'ConnectionSuccess') AS event_type,
  coalesce("DeviceId", "DeviceName") AS host_id,
  coalesce("DeviceName", "DeviceId") AS host_name,
  CASE
    WHEN "InitiatingProcessFolderPath" IS NULL OR "InitiatingProcessFolderPath" = '' THEN "InitiatingProcessFileName"
    WHEN "InitiatingProcessFileName" IS NULL
      OR lower(base_name("InitiatingProcessFolderPath")) = lower(base_name("InitiatingProcessFileName")) THEN "InitiatingProcessFolderPath"
    WHEN strpos("InitiatingProcessFolderPath", '/') > 0 THEN rtrim("InitiatingProcessFolderPath", '/') || '/' || "InitiatingProcessFileName"
    ELSE rtrim("InitiatingProcessFolderPath", '\') || '\' || "InitiatingProcessFileName"
  END AS image,
  base_name(coalesce("InitiatingProcessFileName", "InitiatingProcessFolderPath")) AS process_name,
  "InitiatingProcessId" AS process_id,
  coalesce("DeviceId", "DeviceName") || ':' || coalesce("InitiatingProcessUniqueId", "InitiatingProcessId" || ':' || "InitiatingProcessCreationTime") AS process_guid,
  coalesce(nullif("InitiatingProcessAccountDomain", '') || '\' || "InitiatingProcessAccountName", "InitiatingProcessAccountName") AS "user",
  coalesce("ActionType", '') <> 'InboundConnectionAccepted' AS initiated,
  CASE WHEN "ActionType" = 'InboundConnectionAccepted' THEN 'inbound' ELSE 'outbound' END AS direction,
  CASE WHEN "Protocol" ILIKE 'tcp%' THEN 'tcp' WHEN "Protocol" ILIKE 'udp%' THEN 'udp' ELSE lower(nullif("Protocol", '')) END AS protocol,
  regexp_extract(CASE WHEN "ActionType" = 'InboundConnectionAccepted' THEN "RemoteIP" ELSE "LocalIP" END, '^(?i:::ffff:)?(.+)$', 1) AS source_ip,
  CASE WHEN "ActionType" = 'InboundConnectionAccepted' THEN "RemotePort" ELSE "LocalPort" END AS source_port,
  CASE WHEN "ActionType" = 'InboundConnectionAccepted' THEN NULL ELSE "DeviceName" END AS source_hostname,
  regexp_extract(CASE WHEN "ActionType" = 'InboundConnectionAccepted' THEN "LocalIP" ELSE "RemoteIP" END, '^(?i:::ffff:)?(.+)$', 1) AS destination_ip,
  CASE WHEN "ActionType" = 'InboundConnectionAccepted' THEN "LocalPort" ELSE "RemotePort" END AS destination_port,
  CASE
    WHEN "ActionType" = 'InboundConnectionAccepted' THEN "DeviceName"
    ELSE regexp_extract("RemoteUrl", '^(?:[A-Za-z][A-Za-z0-9+.-]*://)?([^/:?#]+)', 1)
  END AS destination_hostname
FROM source
WHERE "ActionType" LIKE 'Connection%' OR "ActionType" = 'InboundConnectionAccepted'
   OR (("ActionType" IS NULL OR "ActionType" = '') AND "RemoteIP" IS NOT NULL AND "ProcessCommandLine" IS NULL AND "ProcessId" IS NULL)
