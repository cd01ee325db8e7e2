-- ---
-- id: 0837f83c-6faf-49c6-944c-133bff5c87fd
-- title: Shadow copies deleted
-- status: stable
-- level: high
-- description: >
--   Volume shadow copies deleted, so that nothing can be restored: what ransomware does before it encrypts. `method`
--   says how. wmic: `shadowcopy delete`, also with `where "ID='{...}'"` or `path win32_shadowcopy` between. vssadmin:
--   `delete shadows`, and `resize shadowstorage` to less than 1 GB, which makes Windows drop copies without saying
--   delete. powershell: Win32_ShadowCopy and a deletion of it (.Delete(), Remove-WmiObject, Remove-CimInstance), on the
--   command line or in an encoded command. The program is found by its own or original name; vssadmin under any name by
--   its own grammar, `delete shadows /all` or `/for=`. A shell that was given the line is not found for it: the program
--   that it starts is. The carets of `wm^ic` are removed by cmd.exe and never reach the program. It misses diskshadow,
--   whose commands are in a script, deletion by the COM interface, and what is typed at wmic's own prompt; wbadmin and
--   bcdedit inhibit recovery too, but delete no shadow copies.
-- tags: [attack.impact, attack.t1490, attack.execution, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1490/
--   - https://github.com/redcanaryco/atomic-red-team/blob/master/atomics/T1490/T1490.md
-- falsepositives:
--   - Backup software that tidies up its own shadow copies.
--   - Administrators who need the room.
-- response:
--   - Isolate the host at once if nobody did this on purpose; minutes count.
--   - Look for the same on other hosts, for services being stopped, and for files being renamed.
-- entities: {host: host_name, user: user}
-- key: [host_id, user]
-- risk: {score: 81, message: "Shadow copies of {host_name} deleted: {command_line}"}
-- ---
WITH told AS (
  SELECT
    *,
    CASE
      WHEN (lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe')
        AND regexp_like(command_line, '(?is)shadowcopy\b.*\bdelete\b') THEN 'wmic'
      WHEN (lower(process_name) = 'vssadmin.exe' OR lower(original_file_name) = 'vssadmin.exe')
        AND regexp_like(command_line, '(?is)\bdelete["'']?\s+["'']?shadows\b') THEN 'vssadmin delete'
      WHEN regexp_like(command_line, '(?is)^\s*(?:"[^"]*"|\S+)\s+delete\s+shadows\s+[/-](?:all|for|shadow|oldest|quiet)\b') THEN 'vssadmin delete'
      WHEN (lower(process_name) = 'vssadmin.exe' OR lower(original_file_name) = 'vssadmin.exe')
        AND regexp_like(command_line, '(?is)\bresize\s+shadowstorage\b.*[/-]maxsize\s*=\s*"?(?:\d{1,3}\s*MB|\d{1,6}\s*KB|\d{1,9}\s*B?)(?:["\s]|$)') THEN 'vssadmin resize'
      WHEN (lower(process_name) IN ('powershell.exe', 'pwsh.exe', 'powershell_ise.exe')
          OR lower(original_file_name) IN ('powershell.exe', 'pwsh.dll', 'powershell_ise.exe'))
        AND regexp_like(
          concat(xml_unescape(command_line), ' ', decode_powershell(command_line)),
          '(?is)win32_shadowcopy.*(?:\bdelete\b|remove-wmiobject|\brwmi\b|remove-ciminstance|\brcim\b)|(?:remove-wmiobject|\brwmi\b|remove-ciminstance|\brcim\b).*win32_shadowcopy'
        ) THEN 'powershell'
    END AS method
  FROM process_creation
  WHERE command_line ILIKE '%shadow%'
    OR (regexp_like(command_line, '(?i)(?:powershell|pwsh).*[-–—―/]e') AND decode_powershell(command_line) ILIKE '%shadow%')
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  method,
  decode_powershell(command_line) AS script,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM told
WHERE method IS NOT NULL
