-- ---
-- id: e9094f97-7619-41fa-8258-c6442c80604b
-- title: Connection to a port of remote WMI
-- status: stable
-- level: informational
-- description: >
--   Every connection to 135 (the RPC endpoint mapper, which remote WMI over DCOM asks first), 5985 or 5986 (WinRM), as
--   connection logs alone show it: Sysmon 3, Security 5156, CrowdStrike, Defender, OCSF, Zeek. It says who could have
--   used WMI on whom and is no sign of an attack: 135 serves all of DCOM, and domain controllers are asked all day.
--   Decided: loopback and own addresses are kept and told apart by `is_remote`; both ends' sensors report one
--   connection, and both rows are kept; one alert per source, destination, port and observing host. Security 5156 and
--   CrowdStrike name ports by the end they are at, so there a row with the port at either end counts; old Sysmon wrote
--   inbound connections with their ends swapped, which the view puts right before. It misses WMI
--   over the dynamic port alone, once the endpoint is known. wmi_child_after_inbound_connection says what such a
--   connection started.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.003, attack.t1021.006]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://attack.mitre.org/techniques/T1021/006/
-- falsepositives:
--   - Domain controllers, management servers, inventory and monitoring; most rows are these.
-- response:
--   - Compare with what is usual between these two hosts; a workstation that connects to a workstation is not.
--   - Look for children of WmiPrvSE.exe or wsmprovhost.exe on the destination in the seconds after.
-- entities: {host: host_name, ip: source_ip}
-- key: [source_ip, destination_ip, destination_port, host_id]
-- risk: {score: 5, message: "{source_ip} connected to {destination_ip}:{destination_port}, seen on {host_name}"}
-- ---
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  direction,
  source_ip,
  source_port,
  destination_ip,
  destination_port,
  destination_hostname,
  protocol,
  image,
  process_name,
  process_id,
  process_guid,
  "user",
  -- An address that is unknown is not this host's own.
  coalesce(source_ip <> destination_ip, true)
    AND NOT coalesce(cidr_match(source_ip, '127.0.0.0/8'), false)
    AND NOT coalesce(cidr_match(source_ip, '::1/128'), false) AS is_remote,
  _table,
  _file,
  _row
FROM network_connection
WHERE destination_port IN (135, 5985, 5986)
   OR (source_port IN (135, 5985, 5986)
       AND (event_type = 'security:5156' OR event_type LIKE 'crowdstrike:%'))
