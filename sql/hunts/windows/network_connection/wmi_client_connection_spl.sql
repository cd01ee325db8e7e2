-- ---
-- id: 7f2d5d9d-c471-4d63-9d7f-86e89cd93b04
-- title: Suspicious WMI network connection (SPL, as published)
-- status: test
-- level: low
-- description: >
--   MITRE's network analytic, as published. On raw events it finds nothing, for two reasons of which each is enough:
--   neither Sysmon 1 and 3 (`Image`) nor Security 4688 (`NewProcessName`) has a field ProcessName, and lower(null) is
--   null; and `stats by` drops rows without `dest`, `src_ip` or `dest_ip`, which no raw event has. Its third sourcetype
--   is filtered out again three lines later. This is a charitable reading: the fields exist, as an add-on may make them
--   (ProcessName the base name, dest the host, src_ip and dest_ip the connection's ends), and every other word is kept.
--   So the join is by the name of the image alone, on any host at any time, and takes one connection, the newest; that
--   brings its own time, host and user, which overwrite the process's; only the outer name is lower-cased, so that the
--   `WMIC.exe` of a connection never equals `wmic.exe`; wmiprvse.exe is asked for and then excluded; User="SYSTEM"
--   excludes nobody, as that user is `NT AUTHORITY\SYSTEM`; "trusted_ip_range" is a text that no address equals;
--   `*network*` is any command line with that word. Read so, it finds nothing in the real telemetry that the project is
--   tested on, nor does the bare join by name without its exclusions. Decided: a subsearch's limits of rows and time
--   are not kept. Corrected: wmi_client_connection, and for the other end wmi_child_after_inbound_connection.
-- tags: [attack.execution, attack.t1047]
-- references: [https://attack.mitre.org/techniques/T1047/]
-- source:
--   language: SPL
--   document: "MITRE ATT&CK T1047, detection of Network Connection Creation (DS0029), analytic 1"
--   query: |
--     index=windows_logs sourcetype=WinEventLog:Security OR sourcetype=WinEventLog:Microsoft-Windows-Sysmon/Operational OR sourcetype=WinEventLog:Microsoft-Windows-Security-Auditing
--     | eval ProcessName=lower(ProcessName), CommandLine=lower(CommandLine)
--     | search ProcessName IN ("wmic.exe", "powershell.exe", "wmiprvse.exe", "wmiadap.exe", "scrcons.exe", "wbemtool.exe")
--     | search CommandLine IN ("*process call create*", "*win32_process*", "*win32_service*", "*shadowcopy delete*", "*network*")
--     | search (sourcetype="WinEventLog:Security" EventCode=4688) OR (sourcetype="WinEventLog:Microsoft-Windows-Sysmon/Operational" EventCode=1)
--     | join ProcessName [ search index=windows_logs sourcetype=WinEventLog:Microsoft-Windows-Sysmon/Operational EventCode=3
--     | eval DestinationIp = coalesce(DestinationIp, dest_ip)
--     | eval DestinationPort = coalesce(DestinationPort, dest_port)
--     | search DestinationPort IN (135, 5985, 5986) ]
--     | stats count by _time, ComputerName, User, ProcessName, CommandLine, DestinationIp, DestinationPort, dest, src_ip, dest_ip
--     | eval alert_message="Suspicious WMI Network Connection Detected: " + ProcessName + " executed by " + User + " on " + ComputerName + " with command: " + CommandLine + " connecting to " + DestinationIp + ":" + DestinationPort
--     | where NOT (User="SYSTEM" OR ProcessName="wmiprvse.exe" OR (src_ip="trusted_ip_range" AND DestinationIp="trusted_ip_range"))
--     | table _time, ComputerName, User, ProcessName, CommandLine, DestinationIp, DestinationPort, src_ip, dest_ip, alert_message
-- falsepositives: [Any PowerShell with the word network, once any PowerShell anywhere used WinRM.]
-- entities: {host: host_name, user: user, ip: destination_ip}
-- key: [host_name, user, process_name, command_line, destination_ip, destination_port]
-- risk: {score: 25, message: "{alert_message}"}
-- ---
WITH process AS (
  SELECT
    lower(process_name) AS process_name,
    lower(command_line) AS command_line,
    event_time AS started,
    _table,
    _file,
    _row
  FROM process_creation
  WHERE event_type IN ('security:4688', 'sysmon:1')
    AND lower(process_name) IN ('wmic.exe', 'powershell.exe', 'wmiprvse.exe', 'wmiadap.exe', 'scrcons.exe', 'wbemtool.exe')
    AND (command_line ILIKE '%process call create%'
         OR command_line ILIKE '%win32_process%'
         OR command_line ILIKE '%win32_service%'
         OR command_line ILIKE '%shadowcopy delete%'
         OR command_line ILIKE '%network%')
),
connection AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY process_name ORDER BY event_time DESC, _table, _file, _row) AS age
  FROM network_connection
  WHERE event_type = 'sysmon:3'
    AND destination_port IN (135, 5985, 5986)
),
joined AS (
  SELECT
    connection.event_time AS connected,
    connection.host_id,
    connection.host_name,
    connection."user",
    process.process_name,
    process.command_line,
    connection.source_ip,
    connection.destination_ip,
    connection.destination_port,
    process.started,
    unnest(make_array(
      named_struct('at', process.started, 'table', process._table, 'file', process._file, 'row', process._row),
      named_struct('at', connection.event_time, 'table', connection._table, 'file', connection._file, 'row', connection._row)
    )) AS part
  FROM process
  JOIN connection ON connection.process_name = process.process_name AND connection.age = 1
)
SELECT
  connected,
  min(host_id) AS host_id,
  host_name,
  "user",
  process_name,
  command_line,
  destination_ip,
  destination_port,
  source_ip,
  concat(
    'Suspicious WMI Network Connection Detected: ', process_name, ' executed by ', "user", ' on ', host_name,
    ' with command: ', command_line, ' connecting to ', destination_ip, ':', destination_port
  ) AS alert_message,
  min(part['at']) AS first_seen,
  max(part['at']) AS last_seen,
  count(DISTINCT concat_ws(' ', part['table'], part['file'], part['row'])) AS event_count,
  evidence(part['table'], part['file'], part['row']) AS evidence
FROM joined
-- Grouping drops rows without one of these, as `stats by` does.
WHERE host_name IS NOT NULL
  AND "user" IS NOT NULL
  AND source_ip IS NOT NULL
  AND destination_ip IS NOT NULL
  AND "user" <> 'SYSTEM'
  AND process_name <> 'wmiprvse.exe'
  AND NOT (source_ip = 'trusted_ip_range' AND destination_ip = 'trusted_ip_range')
GROUP BY connected, host_name, "user", process_name, command_line, destination_ip, destination_port, source_ip
