-- ---
-- id: 9724544a-2335-4984-8d1c-674949a78ede
-- title: Command of a WMI program
-- status: stable
-- level: medium
-- description: >
--   One of the programs of WMI (wmic, wbemtool, WmiPrvSE, WmiADAP, scrcons) or PowerShell with words on its command
--   line that create a process or an object, or delete shadow copies: `process call create`, `shadowcopy delete`,
--   `process start`, `createobject`. The corrected form of MITRE's command analytic (see wmi_command_execution_spl): it
--   finds the program by its own or original name, on every sensor, asks for no field that the event has not, takes any
--   blanks between the words, reads encoded PowerShell, and excludes neither SYSTEM, as which an attacker may well run,
--   nor WmiPrvSE.exe, which the published text lists and then drops. `words` says which it was. Where wmic starts a
--   process, wmic_process_call_create says more of it, and shadow_copy_deletion of the other. It misses
--   Invoke-WmiMethod and its like (powershell_wmi_command_line, powershell_wmi_call) and renamed copies where the
--   sensor has no original name.
-- tags: [attack.execution, attack.t1047, attack.t1059.001]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
-- falsepositives:
--   - Administrators' and installers' scripts.
-- response:
--   - Find what it started, here or on the host that the line names.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 36, message: "{process_name} on {host_name}: {command_line}"}
-- ---
WITH programs AS (
  SELECT
    *,
    decode_powershell(command_line) AS script,
    lower(regexp_replace(
      regexp_extract(
        concat(xml_unescape(command_line), ' ', decode_powershell(command_line)),
        '(?i)process\s+call\s+create|shadowcopy\s+delete|process\s+start|createobject',
        0
      ),
      '\s+', ' ', 'g'
    )) AS words
  FROM process_creation
  WHERE lower(process_name) IN ('wmic.exe', 'powershell.exe', 'pwsh.exe', 'wbemtool.exe', 'wmiprvse.exe', 'wmiadap.exe', 'scrcons.exe')
    OR lower(original_file_name) IN ('wmic.exe', 'powershell.exe', 'pwsh.dll', 'wbemtool.exe', 'wmiprvse.exe', 'wmiadap.exe', 'scrcons.exe')
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  words,
  script,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM programs
WHERE words IS NOT NULL
