-- ---
-- id: d62c09d5-5299-40d0-9693-267ea8a6ed7d
-- title: WMIC Remote Command Execution (KQL, as published)
-- status: test
-- level: medium
-- description: >
--   The published query, word for word, in both its texts: Timestamp (Defender) and TimeGenerated (Sentinel) are
--   event_time, which the form of the table reads. `=~` ignores case, in ASCII; `in` regards it, which matters little
--   to an address. extract() takes the first dotted quad of the line, valid or not, and looks no further: so
--   `/node:127.0.0.1,10.0.0.5` is missed, `/node:999.999.999.999` and version numbers of small parts are found,
--   `1270.0.0.1` gives 270.0.0.1 and `0127.0.0.1` the loopback; only exactly 127.0.0.1 is excluded. Names, files of
--   names, IPv6 and renamed copies of wmic.exe are missed. No match is an empty text, which isnotempty() drops, as NULL
--   is dropped here. The corrected hunt is wmic_remote_ip.
-- tags: [attack.execution, attack.t1047, attack.defense-evasion, attack.t1218]
-- references:
--   - https://lolbas-project.github.io/lolbas/Binaries/Wmic/
--   - https://web.archive.org/web/20230728141353/https://research.nccgroup.com/2021/01/12/abusing-cloud-services-to-fly-under-the-radar/
--   - https://learn.microsoft.com/en-us/windows/win32/wmisdk/wmic
-- source:
--   language: KQL
--   document: WMIC Remote Command Execution
--   query: |
--     // Defender XDR
--     let IPRegex = '[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}';
--     DeviceProcessEvents
--     | where FileName =~ "WMIC.exe"
--     // Extract IP Addresses from the commandline
--     | extend RemoteIP = extract(IPRegex, 0, ProcessCommandLine)
--     // Only select commandlines that have a remote IP
--     | where isnotempty(RemoteIP)
--     // Filter Localhost, more IPs can be added to this list if they generate false postives.
--     | where not( RemoteIP in ('127.0.0.1'))
--     | project Timestamp, DeviceName, ProcessCommandLine, RemoteIP
--
--     // Sentinel
--     let IPRegex = '[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}';
--     DeviceProcessEvents
--     | where FileName =~ "WMIC.exe"
--     // Extract IP Addresses from the commandline
--     | extend RemoteIP = extract(IPRegex, 0, ProcessCommandLine)
--     // Only select commandlines that have a remote IP
--     | where isnotempty(RemoteIP)
--     // Filter Localhost, more IPs can be added to this list if they generate false postives.
--     | where not( RemoteIP in ('127.0.0.1'))
--     | project TimeGenerated, DeviceName, ProcessCommandLine, RemoteIP
-- falsepositives:
--   - Administrators who address hosts by number.
--   - Version numbers whose parts have three digits at most, such as 6.3.960.1.
-- entities: {host: DeviceName, ip: RemoteIP}
-- key: [DeviceName, ProcessCommandLine]
-- risk: {score: 49, message: "wmic.exe on {DeviceName} names {RemoteIP}: {ProcessCommandLine}"}
-- ---
WITH extended AS (
  SELECT
    *,
    regexp_extract(command_line, '[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}', 0) AS "RemoteIP"
  FROM process_creation
  WHERE lower(process_name) = 'wmic.exe'
)
SELECT
  event_time,
  host_name AS "DeviceName",
  command_line AS "ProcessCommandLine",
  "RemoteIP",
  _table,
  _file,
  _row
FROM extended
WHERE "RemoteIP" IS NOT NULL
  AND "RemoteIP" NOT IN ('127.0.0.1')
