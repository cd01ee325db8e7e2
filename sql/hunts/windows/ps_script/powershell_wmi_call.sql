-- ---
-- id: 49d5d803-5d75-44b8-91fb-c691eef2d7ad
-- title: PowerShell calls WMI
-- status: stable
-- level: low
-- description: >
--   PowerShell's own logs (4103, 4104 and 800) with a call to WMI: the WMI and CIM cmdlets and their aliases,
--   Win32_Process, the type accelerators [wmi], [wmiclass] and [wmisearcher], System.Management and the COM objects.
--   The words of MITRE's analytic (Invoke-WmiMethod, Get-WmiObject, gwmi, win32_process) count anywhere in the text,
--   without regard to case, so that Win32_Processor is found too; it asked a Security log for them that has no such
--   events, with LIKE and asterisks, and finds nothing. `creates_process` marks Win32_Process with its method Create,
--   `is_remote` a call that names another computer or a CIM session, `computer` that name where it is written out.
--   Decided: a script that comes in parts (4104) is found by the part that has the word; what was hidden in
--   -EncodedCommand is shown in `encoded_script` and not searched, as the same log has the script itself; the
--   definitions of aliases for the CIM cmdlets, which PowerShell logs whenever it loads that module, are left out. One
--   alert per host, user and first call of the text. It misses names built at run time, as in ('{1}e{0}'-f'x','i'),
--   unless 4103 logs the call.
-- tags: [attack.execution, attack.t1047, attack.t1059.001]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://attack.mitre.org/techniques/T1059/001/
--   - https://learn.microsoft.com/en-us/powershell/module/microsoft.powershell.core/about/about_logging_windows
-- source:
--   language: SPL
--   document: "MITRE ATT&CK T1047, detection of Process Creation (DS0009), analytic 1, its PowerShell half"
--   query: |
--     index=security sourcetype="WinEventLog:Security"
--     (EventCode=4688 OR EventCode=4656 OR EventCode=4103 OR EventCode=800)
--     | eval command_line = coalesce(CommandLine, ParentCommandLine)
--     | where (ProcessName="wmic.exe" AND (command_line LIKE "%/node:%" OR command_line LIKE "%process call create%"))
--     OR (command_line LIKE "*Invoke-WmiMethod*" OR command_line LIKE "*Get-WmiObject*" OR command_line LIKE "*gwmi*" OR command_line LIKE "*win32_process*")
-- falsepositives:
--   - Inventory and administration scripts, Windows' own telemetry and modules; most rows are these.
-- response:
--   - Read rows with creates_process first, then is_remote.
--   - Look on the named computer for children of WmiPrvSE.exe at that second.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, call]
-- risk: {score: 25, message: "PowerShell on {host_name} calls {call}"}
-- ---
WITH called AS (
  SELECT
    *,
    regexp_extract(text, '(?i)\s-(?:ComputerName|Computer|Comp|CN)[\s:]+["'']?([^\s"'';|)\]},]+)', 1) AS named,
    regexp_extract(text, '(?i)name="ComputerName";\s*value="([^"]+)"', 1) AS bound
  FROM ps_script
  WHERE text ~ '(?i)Invoke-WmiMethod|Get-WmiObject|gwmi|win32_process'
     OR (text ~ '(?i)Invoke-Wmi|(?:Set|Remove)-Wmi(?:Instance|Object)|Register-(?:Wmi|CimIndication)Event|Invoke-CimMethod|(?:Get|New|Set|Remove)-Cim(?:Instance|Session)|\b(?:iwmi|swmi|rwmi|icim|gcim|ncim|rcim|ncms)\b|\[(?:wmi|wmiclass|wmisearcher)\]|System\.Management\.Management(?:Class|Object)|WbemScripting\.SWbem|winmgmts:'
         -- The module of the CIM cmdlets defines its aliases whenever it is loaded.
         AND NOT text ~ '(?i)^(?:CommandInvocation\(Set-Alias\)|Pipeline execution details for command line: Set-Alias\b|\s*Set-Alias\s)')
)
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  "user",
  -- The first of them in the text.
  lower(regexp_extract(text, '(?i)Invoke-Wmi\w*|Get-WmiObject|gwmi|(?:Set|Remove)-Wmi(?:Instance|Object)|Register-(?:Wmi|CimIndication)Event|Invoke-CimMethod|(?:Get|New|Set|Remove)-Cim(?:Instance|Session)|\b(?:iwmi|swmi|rwmi|icim|gcim|ncim|rcim|ncms)\b|\[(?:wmi|wmiclass|wmisearcher)\]|System\.Management\.Management(?:Class|Object)\w*|WbemScripting\.SWbem\w*|winmgmts:|win32_process\w*')) AS call,
  coalesce(
    text ~ '(?i)win32_process\b' AND text ~ '(?i)\.\s*create\s*\(|["'']create["'']|-(?:Method)?Name[\s:]+create\b|invoke-(?:wmi|cim)method[^\r\n|;]*\bcreate\b',
    false
  ) AS creates_process,
  coalesce(
    lower(coalesce(bound, named)) NOT IN ('.', 'localhost', '127.0.0.1', '::1', '$env:computername')
      OR text ~ '(?i)\s-CimSession\b|New-CimSession|name="CimSession"|(?:winmgmts:|\[wmi(?:class)?\]["''])[^\r\n"'']*\\\\[^\.\\]',
    false
  ) AS is_remote,
  coalesce(bound, named) AS computer,
  script_block_id,
  path,
  host_application,
  decode_powershell(host_application) AS encoded_script,
  process_id,
  text,
  _table,
  _file,
  _row
FROM called
