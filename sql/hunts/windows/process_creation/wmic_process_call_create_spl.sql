-- ---
-- id: 62ea12ff-117a-45a4-a881-3c0d5a20b43b
-- title: Wmic with process call create or a node (MITRE, as published)
-- status: test
-- level: medium
-- description: >
--   MITRE's published search on process creation, word for word, and the readings that it needs. On raw events it finds
--   nothing: no process event has a field ProcessName (4688 says NewProcessName, Sysmon Image; only 4656 has it, as a
--   full path, and that has no command line), and a comparison with an absent field is not true. So the most charitable
--   reading is taken, ProcessName is the base name of the image. What is published stays: `where` compares
--   case-sensitively, so an image spelled WMIC.exe, as Windows spells it, is not found; in LIKE only `%` is a wildcard,
--   so the other four patterns look for asterisks and find no PowerShell at all; a tab or a second blank in `process
--   call create` is a miss, and so are -node: and a renamed copy. The search wants the Security log: of its event ids
--   4688 is the one that creates a process; 4103 and 800 are PowerShell's own log and never there, 4656 is the request
--   for a handle. The parent's command line stands in where the own is absent, but 4688 has neither or only the own.
--   What it means to find is found by wmic_process_call_create, wmic_remote_node, powershell_wmi_command_line and, in
--   PowerShell's own logs, powershell_wmi_call. Over the 33,596 real events that lakehunt is tested on this finds none
--   of the seven wmic rows, read either way; those hunts find all seven.
-- tags: [attack.execution, attack.t1047]
-- references: [https://attack.mitre.org/techniques/T1047/]
-- source:
--   language: SPL
--   document: "Windows Management Instrumentation (T1047), MITRE ATT&CK, Process: Process Creation, Analytic 1"
--   query: |
--     index=security sourcetype="WinEventLog:Security"
--     (EventCode=4688 OR EventCode=4656 OR EventCode=4103 OR EventCode=800)
--     | eval command_line = coalesce(CommandLine, ParentCommandLine)
--     | where (ProcessName="wmic.exe" AND (command_line LIKE "%/node:%" OR command_line LIKE "%process call create%"))
--     OR (command_line LIKE "*Invoke-WmiMethod*" OR command_line LIKE "*Get-WmiObject*" OR command_line LIKE "*gwmi*" OR command_line LIKE "*win32_process*")
-- falsepositives: [Administrators who use wmic.]
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 49, message: "{command_line} on {host_name}"}
-- ---
WITH security AS (
  SELECT *, coalesce(command_line, parent_command_line) AS published_command_line
  FROM process_creation
  WHERE event_type = 'security:4688'
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  published_command_line AS command_line,
  parent_image,
  process_id,
  _table,
  _file,
  _row
FROM security
WHERE (process_name = 'wmic.exe' AND (published_command_line LIKE '%/node:%' OR published_command_line LIKE '%process call create%'))
  -- In LIKE an asterisk is an asterisk, so these are whole texts; and _ is any one character.
  OR published_command_line LIKE '*Invoke-WmiMethod*'
  OR published_command_line LIKE '*Get-WmiObject*'
  OR published_command_line LIKE '*gwmi*'
  OR published_command_line LIKE '*win32_process*'
