-- ---
-- id: 092a1c78-4fbb-40e9-b6c4-c4ba6edee701
-- title: Command output redirected to a share
-- status: stable
-- level: medium
-- description: >
--   `cmd.exe /Q /c <command> 1> \\<host>\<share>\<file> 2>&1`, whatever the host, the share and the file: a shell that
--   is told to be quiet and to leave all it says where another computer can fetch it. So do wmiexec, dcomexec,
--   NetExec's and CrackMapExec's `fileless` commands, smbmap (`\\127.0.0.1\C$\WqEVwJZYOe`) and the tools made after
--   them. One command is enough, so this finds one-shot runs; wmiexec_shared_output_file wants two through one
--   `__<time>` file and is surer; the rows of its sessions are found here too, wherever they say `2>&1`. Parent and
--   image are not asked: old 4688 records have no parent, and a copy of cmd.exe has another name; a shell that starts
--   such a cmd.exe is found for its own command line. Case, quotes and full paths do not matter; XML entities are
--   resolved and a command may have several lines. Decided: without `2>&1`, or with another order of /Q and /c, it is
--   not this pattern. It misses output to a local path (netexec_command, smbexec_command, atexec_command) and commands
--   without output (wmiexec_no_output).
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.003, attack.t1021.002]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://github.com/fortra/impacket/blob/master/examples/wmiexec.py
--   - https://github.com/ShawnDEvans/smbmap
-- falsepositives:
--   - Deployment or inventory scripts that write their log to a file share, quietly and with both streams.
-- response:
--   - Read the commands of this host and user around it, and what the file's name says of the tool.
--   - Find the network logon (Security 4624, type 3) just before it; a share on another host is the collector.
--   - Look for the file in Security 5145 (impacket_output_file_over_smb).
-- entities: {host: host_name, user: user, ip: remote_ip}
-- key: [host_id, user]
-- risk: {score: 49, message: "{command} on {host_name} writes to {redirect_file}"}
-- ---
WITH redirected AS (
  SELECT
    *,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)(?:^|[\s"''\\/(&|])cmd(?:\.exe)?"?\s+/q\s*/c\s+(?<command>.*?)\s*1>\s*"?(?<file>\\\\[^\\"<>|]+\\[^\\"<>|]+\\[^"<>|]+?)(?:"\s*|\s+)2>&1'
    ) AS redirect
  FROM process_creation
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  source_ip AS remote_ip,
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
