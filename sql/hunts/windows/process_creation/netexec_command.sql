-- ---
-- id: 715c3006-1da4-4614-8923-de7ca69d54ea
-- title: Command of NetExec
-- status: stable
-- level: high
-- description: >
--   One command of NetExec (before it CrackMapExec), told by how it takes its output home. `form` says how it ran.
--   `temp_file`: `cmd.exe /Q /c <command> 1> \Windows\Temp\<6 letters> 2>&1`, a path without a drive and a new name for
--   every command (wmiexec under WmiPrvSE.exe, mmcexec under mmc.exe). `share`: the same to `\\<attacker>\<share>\<6
--   letters>` (fileless). `task`: `cmd.exe /C <command> > \Windows\Temp\<6 letters> 2>&1`, by the task scheduler.
--   `service`: `cmd.exe /Q /c \\<attacker>\<share>\<6 letters>.bat` (smbexec, fileless). `wmi`, `wmi_encode`,
--   `wmi_registry`: the wmi protocol, which has no file share and carries the output home in the registry: a
--   `C:\windows\temp\<uuid>.txt`, `certutil -encodehex` of it, `reg add HKLM\Software\Classes\<6 letters> /v <uuid>`.
--   Parents are asked only where the text alone is a common thing: `share` wants WmiPrvSE.exe, `task` the scheduler,
--   `service` services.exe, each or none recorded. Decided: six letters of a share's file or batch file must be of both
--   cases, as 97 of 100 random ones are, so that `report` or `BACKUP` is none; command_output_redirected_to_share has
--   no such condition. Its smbexec with a local batch file is smbexec_command's. `task` and `service` are read from the
--   tool's source, not seen in telemetry. Commands that WmiPrvSE.exe starts and that redirect elsewhere, such as
--   `cmd.exe /c winrm get ... >C:\Windows\TEMP\<hash>.stdout`, are not meant.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.002, attack.t1021.003, attack.t1053.005, attack.t1569.002]
-- references:
--   - https://github.com/Pennyw0rth/NetExec/blob/main/nxc/protocols/smb/wmiexec.py
--   - https://github.com/Pennyw0rth/NetExec/blob/main/nxc/protocols/wmi/wmiexec.py
-- falsepositives:
--   - A script that redirects to a file of six letters in \Windows\Temp without naming the drive.
-- response:
--   - Read the commands of this host around it; the tool is mostly run against many hosts at once, so look for the account on others.
--   - A share on another host is the attacker's own; so is the address of the network logon (Security 4624, type 3) before it.
--   - Isolate the host and reset the account if the activity is not explained.
-- entities: {host: host_name, user: user, ip: remote_ip}
-- key: [host_id, user]
-- risk: {score: 64, message: "NetExec on {host_name} ({form}): {command}"}
-- ---
WITH commands AS (
  SELECT
    *,
    -- CrowdStrike's WmiCreateProcess names no parent, and is one of WmiPrvSE.exe by definition.
    CASE WHEN event_type = 'crowdstrike:WmiCreateProcess' THEN 'wmiprvse.exe' ELSE lower(parent_process_name) END AS parent,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)(?:^|[\s"''\\])cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>.*?)\s*1>\s*(?<file>\\windows\\temp\\[a-z]{6})\s+2>&1\s*$'
    ) AS temp_file,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)(?:^|[\s"''\\])cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>.*?)\s*1>\s*(?<file>\\\\[^\\"<>|]+\\[^\\"<>|]+\\(?<name>[a-z]{6}))\s+2>&1\s*$'
    ) AS share,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/c\s+(?<command>.*?[^>\s])\s*1?>\s*(?<file>(?:\\\\[^\\"<>|]+\\[^\\"<>|]+\\*)?\\windows\\temp\\[a-z]{6})\s+2>&1\s*$'
    ) AS task,
    regexp_groups(
      command_line,
      '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>(?<file>\\\\[^\\"<>|]+\\[^\\"<>|]+\\(?<name>[a-z]{6})\.bat))\s*$'
    ) AS service,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)(?:^|[\s"''\\])cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>.*?)\s*1>\s*"?(?<file>[a-z]:\\windows\\temp\\[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.txt)"?\s+2>&1'
    ) AS wmi,
    regexp_groups(
      command_line,
      '(?is)^\s*(?<command>"?(?:[^"<>|&]*\\)?certutil(?:\.exe)?"?\s+[/-]encodehex\s.*?(?<file>[a-z]:\\windows\\temp\\[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.txt).*)$'
    ) AS wmi_encode,
    regexp_groups(
      command_line,
      '(?is)^\s*(?<command>"?(?:[^"<>|&]*\\)?reg(?:\.exe)?"?\s+add\s+"?(?<file>HKLM\\Software\\Classes\\[a-z]{6})"?\s+/v\s+"?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"?\s.*)$'
    ) AS wmi_registry
  FROM process_creation
  -- What each form must hold; cheaper than the expressions above.
  WHERE regexp_like(command_line, '(?i)\\windows\\temp\\|2(?:>|&gt;)|\.bat|\\software\\classes\\')
),
told AS (
  SELECT
    *,
    CASE
      WHEN wmi['file'] IS NOT NULL THEN 'wmi'
      WHEN temp_file['file'] IS NOT NULL THEN 'temp_file'
      WHEN share['file'] IS NOT NULL
        AND regexp_like(share['name'], '[A-Z]') AND regexp_like(share['name'], '[a-z]')
        AND coalesce(parent, 'wmiprvse.exe') = 'wmiprvse.exe' THEN 'share'
      WHEN task['file'] IS NOT NULL
        AND coalesce(parent, 'svchost.exe') IN ('svchost.exe', 'taskeng.exe') THEN 'task'
      WHEN service['file'] IS NOT NULL
        AND regexp_like(service['name'], '[A-Z]') AND regexp_like(service['name'], '[a-z]')
        AND coalesce(parent, 'services.exe') = 'services.exe' THEN 'service'
      WHEN wmi_encode['file'] IS NOT NULL THEN 'wmi_encode'
      WHEN wmi_registry['file'] IS NOT NULL THEN 'wmi_registry'
    END AS form
  FROM commands
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  source_ip AS remote_ip,
  process_name,
  form,
  coalesce(wmi['command'], temp_file['command'], share['command'], task['command'], service['command'], wmi_encode['command'], wmi_registry['command']) AS command,
  coalesce(wmi['file'], temp_file['file'], share['file'], task['file'], service['file'], wmi_encode['file'], wmi_registry['file']) AS output_path,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM told
WHERE form IS NOT NULL
