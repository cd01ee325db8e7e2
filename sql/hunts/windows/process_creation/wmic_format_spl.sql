-- ---
-- id: eb359c80-181a-4caf-b55c-698f8cceac09
-- title: WMIC with a format (Splunk, as published)
-- status: test
-- level: low
-- description: >
--   The published search over Sysmon, word for word. On raw events it finds nothing: Sysmon's fields are Image and
--   CommandLine, and `process_name`, `cmdline`, `parent_process`, `user` and `host` exist only where an add-on makes
--   them. So the reading of that add-on is taken: base name of the image, command line, the parent's command line,
--   account and computer. A search ignores case, and `*` is a wildcard. Wide as published: /format:csv and a class such
--   as Win32_PerfFormattedData are found, a renamed copy is not, nor what other sensors than Sysmon saw. The hunt of
--   the same meaning over every sensor is wmic_format; the one that tells script from output is wmic_xsl_script.
-- tags: [attack.execution, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://docs.microsoft.com/en-us/windows/win32/wmisdk/wmi-start-page
--   - https://www.microsoft.com/security/blog/2019/07/08/dismantling-a-fileless-campaign-microsoft-defender-atp-next-gen-protection-exposes-astaroth-attack/
-- source:
--   language: SPL
--   document: Windows Management Instrumentation (Splunk, Sysmon)
--   query: |
--     sourcetype="XmlWinEventLog:Microsoft-Windows-Sysmon/Operational"
--     process_name="wmic.exe" AND cmdline="*format*"
--     | table _time process_name, cmdline, parent_process, user, host
-- falsepositives:
--   - Inventory scripts with /format:csv or /format:list.
-- entities: {host: host, user: user}
-- key: [host, user, cmdline]
-- risk: {score: 25, message: "{cmdline} on {host}"}
-- ---
SELECT
  event_time,
  process_name,
  command_line AS cmdline,
  parent_command_line AS parent_process,
  "user",
  host_name AS host,
  _table,
  _file,
  _row
FROM process_creation
WHERE event_type = 'sysmon:1'
  AND lower(process_name) = 'wmic.exe'
  AND command_line ILIKE '%format%'
