-- ---
-- id: bc750345-a8fe-4274-956d-8224289714b7
-- title: Output file of a remote shell fetched over SMB
-- status: stable
-- level: high
-- description: >
--   A file named as Impacket's shells name their output was opened on an administrative share (Security 5145):
--   `__<seconds>.<fraction>` of wmiexec, `__<digits>` of dcomexec, `__output` and `__output_<8 letters>` of smbexec. It
--   is the other half of wmiexec_shared_output_file, and the one that is left where command lines are not logged: the
--   victim's own cmd.exe writes the file through 127.0.0.1, the attacker's machine reads and deletes it, so that an
--   address other than the loopback (`is_remote`) is the attacker's. Decided: the shares are ADMIN$ and those of single
--   drives (C$, D$); the file may lie in a folder of the share; case does not matter; one alert per host and file,
--   which is one session. It misses shells with another share (-share) or without output (-nooutput), NetExec's and
--   atexec's random names, and hosts that do not audit detailed file shares.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.002, attack.t1021.003]
-- references:
--   - https://github.com/fortra/impacket/blob/master/examples/wmiexec.py
--   - https://learn.microsoft.com/en-us/windows/security/threat-protection/auditing/event-5145
-- falsepositives:
--   - Administration tools built on Impacket. No software is known that names its files so.
-- response:
--   - Take the address that is not the loopback; that host, or who controls it, runs the shell.
--   - Find the processes of this host with the same file in their command line, and the logon of `logon_id`.
--   - Isolate the host and reset the account if the activity is not explained.
-- entities: {host: host_name, user: user, ip: source_ip}
-- key: [host_id, output_file]
-- risk: {score: 70, message: "{user} from {source_ip} opened {relative_target_name} on {share_name} of {host_name}"}
-- ---
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  user_sid,
  logon_id,
  source_ip,
  source_port,
  coalesce(NOT (cidr_match(source_ip, '127.0.0.0/8') OR cidr_match(source_ip, '::1/128')), false) AS is_remote,
  share_name,
  share_local_path,
  relative_target_name,
  lower(base_name(relative_target_name)) AS output_file,
  -- wmiexec names the file after the time it was started, on the attacker's clock; dcomexec keeps five digits of it.
  parse_time(regexp_extract(relative_target_name, '__(\d{10}(?:\.\d+)?)$', 1), 'unix_s') AS tool_started,
  access_mask,
  access_list,
  _table,
  _file,
  _row
FROM file_share_access
WHERE share_name ~ '(?i)(?:^|\\)(?:admin|[a-z])\$$'
  AND relative_target_name ~ '(?i)(?:^|\\)__(?:\d+(?:\.\d+)?|output(?:_[a-z]{8})?)$'
