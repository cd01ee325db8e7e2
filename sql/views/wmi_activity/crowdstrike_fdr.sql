-- A process created through WMI, with the client's address: what no event of Windows' own WMI log says. RpcClientProcessId is
-- CrowdStrike's id of the client's process, no process id of the system, so it is not shown as one.
SELECT
  'crowdstrike:' || "event_simpleName" AS event_type,
  "aid" AS host_id,
  coalesce(CASE WHEN "ComputerName" NOT IN ('', '0', 'N/A') THEN "ComputerName" END, "aid") AS host_name,
  'process_create' AS kind,
  nullif(nullif("UserName", ''), 'N/A') AS "user",
  "CommandLine" AS command_line,
  coalesce(CASE WHEN "RemoteAddressIP4" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP4" END, CASE WHEN "RemoteAddressIP6" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP6" END) AS source_ip
FROM source
WHERE "event_simpleName" = 'WmiCreateProcess'
