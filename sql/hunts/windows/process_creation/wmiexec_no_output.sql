-- ---
-- id: 8282d434-0040-405c-bc8d-355d613167e0
-- title: Quiet command of WMI without output
-- status: stable
-- level: low
-- description: >
--   WmiPrvSE.exe starts `cmd.exe /Q /c <command>` and nobody takes the output: wmiexec and NetExec with -nooutput,
--   CrackMapExec's payloads (`cmd.exe /Q /c powershell.exe -exec bypass -noni -nop -w 1 -C ...`), and also management
--   software, hence the level. A line that redirects both streams, `1> <file> 2>&1`, is not meant: it is
--   command_output_redirected_to_share's or netexec_command's. A redirect that is part of the command (`echo x > y`)
--   does no harm. Wants the parent: 4688 before Windows 10 has none, and without it this would be any quiet shell. It
--   misses wmiexec -silentcommand, which has no shell; see wmi_provider_child_process.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1059.003]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://github.com/fortra/impacket/blob/master/examples/wmiexec.py
-- falsepositives:
--   - Deployment and monitoring software that runs quiet shell commands over WMI.
-- response:
--   - Read the command; `script` is what an encoded PowerShell command says.
--   - Find the network logon (Security 4624, type 3) just before it; without one the caller is on the host itself.
-- entities: {host: host_name, user: user, ip: remote_ip}
-- key: [host_id, user, command]
-- risk: {score: 25, message: "WMI started {command} on {host_name}"}
-- ---
WITH quiet AS (
  SELECT
    *,
    regexp_extract(
      xml_unescape(command_line),
      '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>.*\S)',
      'command'
    ) AS command
  FROM process_creation
  -- CrowdStrike's WmiCreateProcess names no parent, and is one of WmiPrvSE.exe by definition.
  WHERE lower(parent_process_name) = 'wmiprvse.exe' OR event_type = 'crowdstrike:WmiCreateProcess'
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  source_ip AS remote_ip,
  process_name,
  command,
  decode_powershell(command_line) AS script,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM quiet
WHERE command IS NOT NULL
  AND NOT regexp_like(command, '(?is)1>\s*\S.*2>&1')
