-- ---
-- id: 3f627612-4dae-4568-9dc9-2da5d2e150fd
-- title: WMI object creation (SPL, as published)
-- status: test
-- level: low
-- description: >
--   MITRE's analytic for WMI creation, as published. It finds nothing, for two reasons of which each is enough. None of
--   5857, 5858 and 5861 has a CommandLine or a ParentCommandLine; their fields are the provider, the failed operation,
--   the filter and its consumer. And LIKE in `where` has `%` for any text, so that `*create*` asks for the asterisks
--   themselves, and heeds case. Decided: both are kept. The field becomes `command_line`, which the view has for
--   CrowdStrike's process creations and for none of these three. Beyond that, 5858 is an error, so that what succeeds
--   is not in it; 5861 is persistence (T1546.003), not remote execution; 5859 and 5860 are left out. What it wants to
--   find is found by wmi_event_subscription, wmi_temporary_subscription, wmi_provider_load and wmi_client_failure.
-- tags: [attack.execution, attack.t1047]
-- references: [https://attack.mitre.org/techniques/T1047/]
-- source:
--   language: SPL
--   document: "MITRE ATT&CK T1047, detection of WMI Creation (DS0005), analytic 1"
--   query: |
--     index=security sourcetype="WinEventLog:Microsoft-Windows-WMI-Activity/Operational"
--     (EventCode=5861 OR EventCode=5857 OR EventCode=5858)
--     | eval CommandLine = coalesce(CommandLine, ParentCommandLine)
--     | where (EventCode=5861 AND (CommandLine LIKE "*create*" OR CommandLine LIKE "*process*"))
--     OR (EventCode=5857 AND (CommandLine LIKE "*exec*" OR CommandLine LIKE "*invoke*"))
--     OR (EventCode=5858 AND (CommandLine LIKE "*payload*" OR CommandLine LIKE "*wmic*"))
-- falsepositives: [None; it finds nothing.]
-- entities: {host: host_name}
-- key: [host_id, command_line]
-- ---
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  command_line,
  _table,
  _file,
  _row
FROM wmi_activity
WHERE (kind = 'permanent_subscription' AND (command_line LIKE '*create*' OR command_line LIKE '*process*'))
   OR (kind = 'provider_start' AND (command_line LIKE '*exec*' OR command_line LIKE '*invoke*'))
   OR (kind = 'client_failure' AND (command_line LIKE '*payload*' OR command_line LIKE '*wmic*'))
