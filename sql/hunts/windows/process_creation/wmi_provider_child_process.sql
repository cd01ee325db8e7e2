-- ---
-- id: 63442b2c-d9c5-423d-ae86-c2b70bf42d7a
-- title: Process started by WMI
-- status: stable
-- level: low
-- description: >
--   Any child of WmiPrvSE.exe: whatever Win32_Process.Create starts, from here or from another computer, by whichever
--   tool. Wide on purpose: nothing is excluded, since the exclusions of published rules (management agents, mofcomp,
--   csc) are where an attacker would hide; what is known here belongs in a job's exceptions. CrowdStrike's
--   WmiCreateProcess is such a start by definition and names no parent. `remote_ip` is the client where the sensor
--   knows it, `script` what an encoded PowerShell command says. wmi_child_after_inbound_connection is the narrower one,
--   with the connection before it. It misses 4688 records before Windows 10, which have no parent's name, and starts
--   through other hosts of WMI (scrcons.exe for event consumers, wsmprovhost.exe for WinRM's own shells).
-- tags: [attack.execution, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://learn.microsoft.com/en-us/windows/win32/cimwin32prov/create-method-in-class-win32-process
-- falsepositives:
--   - Management and monitoring agents (Configuration Manager, HP, backup software), and WMI's own helpers.
-- response:
--   - Compare with what WMI starts on other hosts; rare programs first.
--   - Find the network logon (Security 4624, type 3) just before it; without one the caller is on the host itself.
-- entities: {host: host_name, user: user, ip: remote_ip}
-- key: [host_id, user, command_line]
-- risk: {score: 16, message: "WMI started {process_name} on {host_name}: {command_line}"}
-- ---
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  image,
  command_line,
  decode_powershell(command_line) AS script,
  source_ip AS remote_ip,
  integrity_level,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  parent_process_guid,
  _table,
  _file,
  _row
FROM process_creation
WHERE lower(parent_process_name) = 'wmiprvse.exe'
  OR event_type = 'crowdstrike:WmiCreateProcess'
