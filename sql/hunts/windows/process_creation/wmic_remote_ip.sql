-- ---
-- id: 5b8f2d5c-7c34-4a86-9a30-7d1f0c1f6e52
-- title: WMIC command line with an IP address
-- status: stable
-- level: medium
-- description: >
--   wmic.exe, by its name or by the name in its version resource, with an IP address other than the loopback in its
--   command line: in most cases the host that it talks to. The published query takes the first dotted quad of the line,
--   valid or not, and looks no further when that is 127.0.0.1; this takes every valid IPv4 and IPv6 address, so that
--   `/node:127.0.0.1,10.0.0.5` is found and `/node:999.999.999.999` or a version number with a part above 255 is not. Only 127.0.0.0/8 and ::1 are
--   loopback. Names (`/node:SRV01`) are remote_wmi_command_attempt's.
-- tags: [attack.execution, attack.t1047, attack.defense-evasion, attack.t1218]
-- references:
--   - https://lolbas-project.github.io/lolbas/Binaries/Wmic/
--   - https://learn.microsoft.com/en-us/windows/win32/wmisdk/wmic
-- source:
--   language: KQL
--   document: WMIC Remote Command Execution
--   query: |
--     let IPRegex = '[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}';
--     DeviceProcessEvents
--     | where FileName =~ "WMIC.exe"
--     | extend RemoteIP = extract(IPRegex, 0, ProcessCommandLine)
--     | where isnotempty(RemoteIP)
--     | where not( RemoteIP in ('127.0.0.1'))
--     | project Timestamp, DeviceName, ProcessCommandLine, RemoteIP
-- falsepositives:
--   - Administrators who address hosts by number.
--   - Version numbers of four small parts, such as 6.3.9.1.
-- response:
--   - Look at what ran on those addresses at the same time.
--   - A /format or /output to a foreign address is a download or upload; see wmic_format.
-- entities: {host: host_name, user: user, ip: remote_ips}
-- key: [host_id, user, command_line]
-- risk: {score: 49, message: "wmic.exe on {host_name} names {remote_ips}: {command_line}"}
-- ---
WITH wmic AS (
  SELECT
    *,
    -- Loopback addresses are blanked first, so that they cannot hide another address of the line.
    array_remove_all(extract_ips(regexp_replace(command_line, '\b127(?:\.\d{1,3}){3}\b', ' ', 'g')), '::1') AS remote_ips
  FROM process_creation
  WHERE lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe'
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  remote_ips,
  _table,
  _file,
  _row
FROM wmic
WHERE cardinality(remote_ips) > 0
