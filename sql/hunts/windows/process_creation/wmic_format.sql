-- ---
-- id: c3b6f0d4-96a5-4c0c-8b8a-8d7d4c5a7f13
-- title: WMIC with a format
-- status: stable
-- level: low
-- description: >
--   wmic.exe, by its name or by the name in its version resource, with `format` anywhere in its command line. A
--   stylesheet given to /format runs script: from a URL, a share or a file it is code execution (T1220). As published it
--   is wide: /format:csv and a class such as Win32_PerfFormattedData_PerfOS_System are found too. `format_target` says
--   what the format is, without its quotes, and `is_stylesheet` whether it is a file, share or URL rather than a
--   built-in name.
-- tags: [attack.execution, attack.t1047, attack.defense-evasion, attack.t1220]
-- references:
--   - https://www.microsoft.com/security/blog/2019/07/08/dismantling-a-fileless-campaign-microsoft-defender-atp-next-gen-protection-exposes-astaroth-attack/
--   - https://attack.mitre.org/techniques/T1220/
-- source:
--   language: SPL
--   document: Windows Management Instrumentation (Splunk, Sysmon)
--   query: |
--     sourcetype="XmlWinEventLog:Microsoft-Windows-Sysmon/Operational"
--     process_name="wmic.exe" AND cmdline="*format*"
--     | table _time process_name, cmdline, parent_process, user, host
-- falsepositives:
--   - Inventory scripts with /format:csv or /format:list.
-- response:
--   - Where the format is a stylesheet, fetch it and read its script.
--   - Look for children of wmic.exe and for jscript.dll or vbscript.dll loaded by it.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 25, message: "wmic.exe on {host_name} with format {format_target}: {command_line}"}
-- ---
WITH wmic AS (
  SELECT
    *,
    -- What quotes enclose may hold blanks: /format:"C:\my sheets\a.xsl", or "/format:C:\my sheets\a.xsl".
    regexp_groups(
      command_line,
      '(?i)"[/-]format\s*:\s*(?<switch>[^"]+)|format\s*:\s*(?:"(?<quoted>[^"]+)|(?<bare>[^"\s]+))'
    ) AS format
  FROM process_creation
  WHERE (lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe')
    AND command_line ILIKE '%format%'
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  command_line,
  parent_command_line AS parent_process,
  coalesce(format['switch'], format['quoted'], format['bare']) AS format_target,
  -- A drive, a URL, or a slash or dot before any colon; what follows a built-in name's colon are its options.
  coalesce(
    regexp_like(coalesce(format['switch'], format['quoted'], format['bare']), '(?i)^(?:[a-z]:|[a-z]+:[\\/]|[^:]*[\\/.])'),
    false
  ) AS is_stylesheet,
  _table,
  _file,
  _row
FROM wmic
