-- ---
-- id: f1e43d3d-a04c-44c2-837f-1b27b6322cad
-- title: Suspicious WMI activity by command (MITRE, as published)
-- status: test
-- level: medium
-- description: >
--   MITRE's published search on command execution, word for word, and the readings that it needs. On raw events it
--   finds nothing, twice over: no process event has a field ProcessName, and `stats` drops a row in which a by-field is
--   absent, which dest, src_ip and dest_ip are in every process event. So the most charitable reading is taken:
--   ProcessName is the base name of the image, ParentProcessName that of the parent, and the three fields that no such
--   event has count as absent without dropping it. What is published stays. A row without User, ParentProcessName or
--   ParentCommandLine is dropped: that is every 4688, whose User is Subject's and whose parent has no command line. In
--   `where` nothing is a wildcard, so CommandLine="*wmic shadowcopy delete*" is never true, and AND binds before OR, so
--   it would not be without a "trusted_ip_range" either; `User="SYSTEM"` is not `NT AUTHORITY\SYSTEM`, so it excludes
--   nobody; wmiprvse.exe, which the first search lists, is excluded. No event id is asked for: of the two logs only
--   process creations have a command line. `search` ignores case and the values are lower case already. The corrected
--   hunt is wmi_command_execution, which also finds what 4688 and other sensors saw, renamed copies, and tabs between
--   the words. Over the 33,596 real events that lakehunt is tested on the published text finds none of four rows, read
--   charitably two, the corrected hunt all four.
-- tags: [attack.execution, attack.t1047]
-- references: [https://attack.mitre.org/techniques/T1047/]
-- source:
--   language: SPL
--   document: "Windows Management Instrumentation (T1047), MITRE ATT&CK, Command: Command Execution, Analytic 1"
--   query: |
--     index=windows_logs sourcetype=WinEventLog:Security OR sourcetype=WinEventLog:Microsoft-Windows-Sysmon/Operational
--     | eval CommandLine=coalesce(CommandLine, ParentCommandLine)
--     | eval ProcessName=lower(ProcessName), CommandLine=lower(CommandLine)
--     | search ProcessName IN ("wmic.exe", "powershell.exe", "wbemtool.exe", "wmiprvse.exe", "wmiadap.exe", "scrcons.exe")
--     | search CommandLine IN ("*process call create*", "*shadowcopy delete*", "*process start*", "*createobject*")
--     | stats count by _time, ComputerName, User, ProcessName, CommandLine, ParentProcessName, ParentCommandLine, dest, src_ip, dest_ip
--     | eval alert_message="Suspicious WMI activity detected: " + ProcessName + " executed by " + User + " on " + ComputerName + " with command: " + CommandLine
--     | where NOT (User="SYSTEM" OR ProcessName="wmiprvse.exe" OR CommandLine="*wmic shadowcopy delete*" AND src_ip="trusted_ip_range")
--     | table _time, ComputerName, User, ProcessName, CommandLine, ParentProcessName, ParentCommandLine, src_ip, dest_ip, alert_message
-- falsepositives: [Administrators' scripts.]
-- entities: {host: ComputerName, user: User}
-- key: [ComputerName, User, CommandLine]
-- risk: {score: 36, message: "{alert_message}"}
-- ---
WITH evaluated AS (
  SELECT
    *,
    lower(process_name) AS published_process_name,
    lower(coalesce(command_line, parent_command_line)) AS published_command_line
  FROM process_creation
  WHERE event_type IN ('security:4688', 'sysmon:1')
)
SELECT
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  host_name AS "ComputerName",
  "user" AS "User",
  published_process_name AS "ProcessName",
  published_command_line AS "CommandLine",
  parent_process_name AS "ParentProcessName",
  parent_command_line AS "ParentCommandLine",
  CAST(NULL AS VARCHAR) AS src_ip,
  CAST(NULL AS VARCHAR) AS dest_ip,
  concat(
    'Suspicious WMI activity detected: ', published_process_name, ' executed by ', "user",
    ' on ', host_name, ' with command: ', published_command_line
  ) AS alert_message,
  count(*) AS event_count,
  evidence(_table, _file, _row) AS evidence
FROM evaluated
WHERE published_process_name IN ('wmic.exe', 'powershell.exe', 'wbemtool.exe', 'wmiprvse.exe', 'wmiadap.exe', 'scrcons.exe')
  AND (
    published_command_line LIKE '%process call create%'
    OR published_command_line LIKE '%shadowcopy delete%'
    OR published_command_line LIKE '%process start%'
    OR published_command_line LIKE '%createobject%'
  )
  -- stats drops what has no value for a by-field. 4688 has no field User; the view fills it from others.
  AND event_type = 'sysmon:1'
  AND host_name IS NOT NULL
  AND "user" IS NOT NULL
  AND parent_process_name IS NOT NULL
  AND parent_command_line IS NOT NULL
  AND NOT ("user" = 'SYSTEM' OR published_process_name = 'wmiprvse.exe')
GROUP BY event_time, host_name, "user", published_process_name, published_command_line, parent_process_name, parent_command_line
