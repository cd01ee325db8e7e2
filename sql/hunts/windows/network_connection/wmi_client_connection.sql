-- ---
-- id: c71fde0d-bc53-4296-a2f8-48971034f579
-- title: WMI client connects to another host
-- status: stable
-- level: medium
-- description: >
--   A program that people and scripts use WMI with (wmic, PowerShell, wbemtest, the script hosts) connects to 135, 5985
--   or 5986 of another host: what MITRE's network analytic means to find, from the client's side. Corrected: process
--   and connection are joined by host and the sensor's id of the process, not by the name of an image anywhere; the
--   connection must be the process's own, outbound, and not to the loopback or the host's own address; no word in the
--   command line is needed, and SYSTEM is not left out. wmic.exe is also known by the name in its version resource.
--   Over DCOM a client does not ask 135 itself: RPCSS (svchost.exe) does that for it, and the client connects to a
--   dynamic port. So for wmic and wbemtest, which have no other use of the network, ports from 49152 count too.
--   Decided: a connection whose process was started before the lookback, or that has no such id (Security 5156), is
--   found without its command line; one finding is one process, destination and port. It misses clients of other names:
--   remote_wmi_connection has those, and wmi_child_after_inbound_connection sees the other end.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.003, attack.t1021.006]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://attack.mitre.org/techniques/T1021/006/
-- falsepositives:
--   - Administrators and their scripts; PowerShell remoting is a usual tool.
-- response:
--   - Read the command line, and what ran on the destination at that time.
--   - Ask whether the user administers the destination.
-- lookback: 8h
-- entities: {host: host_name, user: user, ip: destination_ip}
-- key: [host_id, process_name, destination_ip, destination_port]
-- risk: {score: 40, message: "{process_name} on {host_name} connected to {destination_ip}:{destination_port}"}
-- ---
WITH client AS (
  SELECT
    lower(host_id) AS host,
    lower(process_guid) AS guid,
    process_name AS tool,
    command_line,
    parent_image,
    parent_command_line,
    "user" AS tool_user,
    lower(original_file_name) = 'wmic.exe' OR lower(process_name) IN ('wmic.exe', 'wbemtest.exe', 'wbemtool.exe') AS is_wmi_only,
    event_time AS started,
    _table AS process_table,
    _file AS process_file,
    _row AS process_row
  FROM process_creation
  WHERE process_guid IS NOT NULL
    AND (lower(process_name) IN ('wmic.exe', 'wbemtest.exe', 'wbemtool.exe', 'powershell.exe', 'powershell_ise.exe', 'pwsh.exe', 'cscript.exe', 'wscript.exe', 'mshta.exe')
         OR lower(original_file_name) = 'wmic.exe')
),
outbound AS (
  SELECT
    *,
    lower(host_id) AS host,
    lower(process_guid) AS guid
  FROM network_connection
  WHERE (destination_port IN (135, 5985, 5986) OR destination_port >= 49152)
    AND direction = 'outbound'
    AND coalesce(source_ip <> destination_ip, true)
    AND coalesce(cidr_match(destination_ip, '127.0.0.0/8'), false) = false
    AND coalesce(cidr_match(destination_ip, '::1/128'), false) = false
),
joined AS (
  SELECT
    outbound.host_id,
    outbound.host_name,
    outbound.host,
    outbound.process_id,
    outbound.process_guid,
    outbound.guid,
    outbound.source_ip,
    outbound.destination_ip,
    outbound.destination_port,
    outbound.destination_hostname,
    -- A short-lived process is gone when the connection is reported, and has no name there.
    coalesce(client.tool, outbound.process_name) AS client_name,
    coalesce(client.tool_user, outbound."user") AS account,
    client.command_line,
    client.parent_image,
    client.parent_command_line,
    -- The process is one contribution, its connection another.
    unnest(make_array(
      named_struct('at', client.started, 'table', client.process_table, 'file', client.process_file, 'row', client.process_row),
      named_struct('at', outbound.event_time, 'table', outbound._table, 'file', outbound._file, 'row', outbound._row)
    )) AS part
  FROM outbound
  LEFT JOIN client ON client.host = outbound.host AND client.guid = outbound.guid
  WHERE coalesce(client.is_wmi_only, lower(outbound.process_name) IN ('wmic.exe', 'wbemtest.exe', 'wbemtool.exe'))
     OR (outbound.destination_port < 49152
         AND (client.guid IS NOT NULL
              OR lower(outbound.process_name) IN ('powershell.exe', 'powershell_ise.exe', 'pwsh.exe', 'cscript.exe', 'wscript.exe', 'mshta.exe')))
)
SELECT
  min(host_id) AS host_id,
  max(host_name) AS host_name,
  max(account) AS "user",
  max(client_name) AS process_name,
  max(process_id) AS process_id,
  max(process_guid) AS process_guid,
  max(command_line) AS command_line,
  max(parent_image) AS parent_image,
  max(parent_command_line) AS parent_command_line,
  max(source_ip) AS source_ip,
  destination_ip,
  destination_port,
  max(destination_hostname) AS destination_hostname,
  min(part['at']) AS first_seen,
  max(part['at']) AS last_seen,
  count(DISTINCT CASE WHEN part['file'] IS NOT NULL THEN concat_ws(' ', part['table'], part['file'], part['row']) END) AS event_count,
  evidence(part['table'], part['file'], part['row']) AS evidence
FROM joined
GROUP BY host, coalesce(CAST(process_id AS VARCHAR), guid), destination_ip, destination_port
