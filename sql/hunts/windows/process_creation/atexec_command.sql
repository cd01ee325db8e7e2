-- ---
-- id: 7f5fb55a-33d6-44c6-a936-a5cd95ecd540
-- title: Command of Impacket's atexec
-- status: stable
-- level: medium
-- description: >
--   One command of Impacket's atexec: a scheduled task made over the network, run once and deleted, of `cmd.exe /C
--   <command> > %windir%\Temp\<8 letters>.tmp 2>&1`. The variable is replaced in most records and may be left in some.
--   Found under the task scheduler (svchost.exe, before Windows 8 taskeng.exe) or where the sensor recorded no parent;
--   a known parent of another name says that it is something else. The letters are told apart from the hex digits of
--   Windows' own temporary names. It misses commands whose output nobody wants, and, decided, a changed name or folder:
--   without the folder and the length this is any logged task. NetExec's task form is netexec_command's.
-- tags: [attack.execution, attack.lateral-movement, attack.persistence, attack.privilege-escalation, attack.t1053.005, attack.t1059.003]
-- references:
--   - https://attack.mitre.org/techniques/T1053/005/
--   - https://github.com/fortra/impacket/blob/master/examples/atexec.py
-- falsepositives:
--   - A scheduled task of an administrator that logs to a .tmp file of eight letters in Windows' Temp.
-- response:
--   - Look for the task (Security 4698 and 4699 within seconds of each other, or TaskScheduler 106 and 141) of the same eight letters.
--   - Find the network logon (Security 4624, type 3) just before it; its address is the attacker's.
--   - It runs as SYSTEM. Isolate the host if the activity is not explained.
-- entities: {host: host_name, user: user}
-- key: [host_id]
-- risk: {score: 49, message: "atexec on {host_name}: {command}"}
-- ---
WITH redirected AS (
  SELECT
    *,
    -- CrowdStrike's WmiCreateProcess names no parent, and is one of WmiPrvSE.exe by definition.
    CASE WHEN event_type = 'crowdstrike:WmiCreateProcess' THEN 'wmiprvse.exe' ELSE lower(parent_process_name) END AS parent,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/c\s+(?<command>.*?[^>\s])\s*1?>\s*(?<file>(?:%windir%|%systemroot%|[a-z]:\\windows)\\temp\\[a-z]{8}\.tmp)\s+2>&1\s*$'
    ) AS redirect
  FROM process_creation
  WHERE regexp_like(command_line, '(?i)\\temp\\[a-z]{8}\.tmp')
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  redirect['command'] AS command,
  redirect['file'] AS redirect_file,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM redirected
WHERE redirect['file'] IS NOT NULL
  AND (parent IS NULL OR parent IN ('svchost.exe', 'taskeng.exe'))
