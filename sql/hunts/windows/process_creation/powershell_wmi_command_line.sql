-- ---
-- id: 366df65e-be55-4424-9c80-2894551525de
-- title: PowerShell calls WMI on its command line
-- status: stable
-- level: low
-- description: >
--   PowerShell whose command line, plain or encoded, calls WMI: Invoke-WmiMethod, Invoke-CimMethod, Get-WmiObject,
--   their aliases iwmi, icim and gwmi, Get-CimInstance of Win32_Process, the type accelerators [wmiclass] and [wmi], or
--   the class Win32_Process. The corrected form of the PowerShell half of MITRE's process analytic (see
--   wmic_process_call_create_spl), which in process events looks for asterisks; for hosts without script block logging,
--   where powershell_wmi_call has nothing to read. `words` is what was found, `creates_process` says that Win32_Process
--   and Create are both there, `target` the computer that the line names. It misses scripts in files, calls typed at
--   the prompt, words that the script itself takes apart, and renamed copies where the sensor has no original name.
-- tags: [attack.execution, attack.t1047, attack.t1059.001]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://learn.microsoft.com/en-us/powershell/module/microsoft.powershell.management/invoke-wmimethod
-- falsepositives:
--   - Administrators' and inventory scripts; Get-WmiObject is how many of them read anything.
-- response:
--   - Where it creates a process, find that child of WmiPrvSE.exe, here or on the target.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 25, message: "PowerShell on {host_name} calls WMI ({words}): {command_line}"}
-- ---
WITH powershell AS (
  SELECT
    *,
    decode_powershell(command_line) AS script,
    concat(xml_unescape(command_line), ' ', decode_powershell(command_line)) AS script_text
  FROM process_creation
  WHERE lower(process_name) IN ('powershell.exe', 'pwsh.exe', 'powershell_ise.exe')
    OR lower(original_file_name) IN ('powershell.exe', 'pwsh.dll', 'powershell_ise.exe')
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  lower(regexp_extract(
    script_text,
    '(?i)invoke-(?:wmi|cim)method|get-wmiobject|\b(?:gwmi|iwmi|icim)\b|\[wmi(?:class)?\]|win32_process\b',
    0
  )) AS words,
  regexp_like(script_text, '(?is)win32_process\b.*\bcreate\b|\bcreate\b.*win32_process\b') AS creates_process,
  regexp_extract(
    script_text,
    '(?i)[-–—―](?:computername|computer|comp|cn)[\s:]+["'']?(?<target>[^\s"'';|)]+)',
    'target'
  ) AS target,
  script,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM powershell
WHERE regexp_like(
  script_text,
  '(?i)invoke-(?:wmi|cim)method|get-wmiobject|\b(?:gwmi|iwmi|icim)\b|\[wmi(?:class)?\]|win32_process\b'
)
