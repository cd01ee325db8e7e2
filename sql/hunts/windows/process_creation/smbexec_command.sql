-- ---
-- id: 901dd242-a24a-490c-9e12-2b5e919ec0ad
-- title: Command of smbexec
-- status: stable
-- level: high
-- description: >
--   One command of Impacket's smbexec, or of what NetExec and CrackMapExec made of it: a service whose program is a
--   shell that writes a batch file, runs it and deletes it, `%COMSPEC% /Q /c echo <command> ^> <file> 2^>^&1 > <batch>
--   & %COMSPEC% /Q /c <batch> & del <batch>`. In process events the variables are replaced. The shape is what is looked
--   for, not the names: `\\127.0.0.1\C$\__output` and execute.bat in old versions, random ones later, with or without
--   blanks around the redirects. The parent is services.exe where it is known, and is not asked. `stage` is `service`
--   for that line and `batch` for the second shell, `cmd.exe /Q /c <batch>`: told by its parent's command line, or,
--   where the sensor has none, by the old fixed name execute.bat in Windows' Temp. It misses the second shell of a
--   random batch file without the parent's command line, and commands without output, which are `cmd.exe /Q /c
--   <command>` of services.exe.
-- tags: [attack.execution, attack.lateral-movement, attack.t1021.002, attack.t1569.002, attack.t1059.003]
-- references:
--   - https://attack.mitre.org/techniques/T1569/002/
--   - https://github.com/fortra/impacket/blob/master/examples/smbexec.py
-- falsepositives:
--   - Administration tools built on Impacket.
-- response:
--   - Read the service that ran it (System 7045, Security 4697), and the other commands of this host.
--   - Find the network logon (Security 4624, type 3) just before it; its address is the attacker's.
--   - It runs as SYSTEM. Isolate the host if the activity is not explained.
-- entities: {host: host_name, user: user}
-- key: [host_id]
-- risk: {score: 64, message: "smbexec on {host_name}: {command}"}
-- ---
WITH shells AS (
  SELECT
    *,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)(?:cmd(?:\.exe)?"?|%comspec%)\s+/q\s*/c\s+echo\s(?<command>.*?)\s*\^>\s*(?<file>[^\s"<>|&^]+)\s+2\^>\s*\^&1\s*>\s*(?<batch>[^<>|&"]+?\.bat)\s*&.*?(?:cmd(?:\.exe)?"?|%comspec%)\s+/q\s*/c\s.*?\.bat'
    ) AS service,
    regexp_groups(
      xml_unescape(parent_command_line),
      '(?is)(?:cmd(?:\.exe)?"?|%comspec%)\s+/q\s*/c\s+echo\s(?<command>.*?)\s*\^>\s*(?<file>[^\s"<>|&^]+)\s+2\^>\s*\^&1\s*>\s*(?<batch>[^<>|&"]+?\.bat)\s*&.*?(?:cmd(?:\.exe)?"?|%comspec%)\s+/q\s*/c\s.*?\.bat'
    ) AS parent_service,
    regexp_extract(
      command_line,
      '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<batch>[^<>|&"]+?\.bat)\s*$',
      'batch'
    ) AS run_batch
  FROM process_creation
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  CASE WHEN service['batch'] IS NOT NULL THEN 'service' ELSE 'batch' END AS stage,
  coalesce(service['command'], parent_service['command'], run_batch) AS command,
  coalesce(service['file'], parent_service['file']) AS redirect_file,
  coalesce(service['batch'], run_batch) AS batch_file,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM shells
WHERE service['batch'] IS NOT NULL
  OR (run_batch IS NOT NULL AND (
    parent_service['batch'] IS NOT NULL
    OR regexp_like(run_batch, '(?i)^[a-z]:\\windows\\temp\\execute\.bat$')
  ))
