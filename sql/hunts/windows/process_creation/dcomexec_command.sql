-- ---
-- id: 34647a4b-f118-4167-821f-4aa323924c59
-- title: Command of Impacket's dcomexec
-- status: stable
-- level: high
-- description: >
--   One command of Impacket's dcomexec: MMC20.Application, ShellWindows or ShellBrowserWindow, asked over DCOM, start
--   `"C:\Windows\System32\cmd.exe" /Q /c <command> 1> \\127.0.0.1\ADMIN$\__17000 2>&1`. The file is `__` and the first
--   five characters of the attacker's time; before 2018 it was the whole time, as wmiexec's still is. Found are: such a
--   redirect to a `__<number>` file of this host under a process that DCOM makes a parent (mmc.exe, explorer.exe,
--   dllhost.exe, Office, Internet Explorer); exactly five digits under any parent but WmiPrvSE.exe; and, where the
--   sensor recorded no parent (4688 before Windows 10), also the whole time when the image is a quoted full path, as
--   the shell writes it and wmiexec does not. It misses -nooutput, which looks like any command of the desktop, and
--   -silentcommand. Several commands of one session are wmiexec_shared_output_file's as well.
-- tags: [attack.execution, attack.lateral-movement, attack.t1021.003, attack.t1059.003]
-- references:
--   - https://attack.mitre.org/techniques/T1021/003/
--   - https://github.com/fortra/impacket/blob/master/examples/dcomexec.py
-- falsepositives:
--   - Administration tools built on Impacket.
-- response:
--   - Read the session's commands; the first are the tool's own `cd`.
--   - Find the network logon (Security 4624, type 3) just before it; its address is the attacker's.
--   - Isolate the host and reset the account if the activity is not explained.
-- entities: {host: host_name, user: user}
-- key: [host_id, user]
-- risk: {score: 64, message: "dcomexec on {host_name}: {command}"}
-- ---
WITH redirected AS (
  SELECT
    *,
    -- CrowdStrike's WmiCreateProcess names no parent, and is one of WmiPrvSE.exe by definition.
    CASE WHEN event_type = 'crowdstrike:WmiCreateProcess' THEN 'wmiprvse.exe' ELSE lower(parent_process_name) END AS parent,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)^\s*(?<quote>"?)(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>.*?)\s*1>\s*(?<file>\\\\(?:127\.0\.0\.1|localhost)\\[^\\<>|"]+\\__(?<started>\d{5,10}(?:\.\d{1,7})?))(?:\s|$)'
    ) AS redirect
  FROM process_creation
  WHERE regexp_like(command_line, '__\d{5}')
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
  AND (
    parent IN (
      'mmc.exe', 'explorer.exe', 'dllhost.exe', 'iexplore.exe', 'excel.exe', 'winword.exe', 'powerpnt.exe', 'outlook.exe', 'visio.exe'
    )
    OR (regexp_like(redirect['started'], '^\d{5}$') AND coalesce(parent, '') <> 'wmiprvse.exe')
    OR (parent IS NULL AND redirect['quote'] = '"')
  )
