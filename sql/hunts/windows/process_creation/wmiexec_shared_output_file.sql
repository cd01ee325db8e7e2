-- ---
-- id: 7d2c0c5e-0f5b-4c7e-9b1e-3a6f7f0f4a11
-- title: Suspected WMIExec abuse
-- status: stable
-- level: high
-- description: >
--   Several commands of one interactive Impacket session (wmiexec, dcomexec) on one host, told by the output file they
--   share: `cmd.exe /Q /c <command> 1> \\127.0.0.1\ADMIN$\__<time> 2>&1`. The corrected form of the published LogScale
--   hunt (see wmiexec_logscale): it does not exclude the tool's own `cd` commands, which may be all there is of a real
--   session; has no gate on the lag, which a wrong clock on the attacker's side would trip; ignores case; takes full and
--   quoted paths, dcomexec's short numbers, nothing after the number, XML entities and line breaks; and does not split a
--   session by client address. Processes are counted by process id, by which Sysmon and the Security log agree, or by
--   the sensor's own id where that says more. A host goes by its short name, what precedes the first dot, so that
--   sensors which write it in full and short give one finding; so do two hosts of one short name in two domains whose
--   output files have one name, and the finding shows one of the two. It misses sessions with -nooutput or
--   -silentcommand, and one-shot runs of which only a single command was logged.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.003]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://github.com/fortra/impacket/blob/master/examples/wmiexec.py
-- falsepositives:
--   - Administration tools built on Impacket.
--   - Software that redirects several commands to one `__<digits>` file on an administrative share of its own host; none is known.
-- response:
--   - Read the commands in their order; the first are the tool's own probe of its prompt.
--   - Find the logon (Security 4624, type 3) on this host shortly before the first command; its address is the attacker's.
--   - Look for the same account on other hosts from the start of the session on.
--   - Isolate the host and reset the account if the activity is not explained.
-- lookback: 3h
-- params: {min_commands: 2, min_processes: 2}
-- entities: {host: host_name, user: users, ip: remote_ips}
-- key: [session_key]
-- risk: {score: 64, message: "{total_commands} commands through {redirect_file} on {host_name}"}
-- ---
WITH redirected AS (
  SELECT
    *,
    -- Sensors write a host's name in full or short, in any case; an address is no name to be cut.
    lower(CASE
      WHEN coalesce(host_name, host_id) ~ '^[\d.]+$|:' THEN coalesce(host_name, host_id)
      ELSE split_part(coalesce(host_name, host_id), '.', 1)
    END) AS short_host,
    regexp_groups(
      xml_unescape(command_line),
      '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/q\s+/c\s+(?<command>.*?)\s*1>\s*(?<file>\\\\(?:127\.0\.0\.1|localhost)\\[^\\<>|"]+\\__(?<started>\d{5,10}(?:\.\d{1,7})?))(?:\s|$)'
    ) AS session
  FROM process_creation
  WHERE regexp_like(
    xml_unescape(command_line),
    '(?is)^\s*"?(?:[^"<>|&]*\\)?cmd(?:\.exe)?"?\s+/q\s+/c\s+.*?1>\s*\\\\(?:127\.0\.0\.1|localhost)\\[^\\<>|"]+\\__\d{5,10}(?:\.\d{1,7})?(?:\s|$)'
  )
)
SELECT
  min(host_id) AS host_id,
  max(host_name) AS host_name,
  min(session['file']) AS redirect_file,
  -- Neither hosts nor files are told apart by case; two sensors may spell them differently.
  concat(short_host, ' ', lower(session['file'])) AS session_key,
  -- wmiexec names the file after the time it was started, on the attacker's clock; dcomexec keeps five digits of it.
  max(CASE WHEN session['started'] ~ '^\d{10}' THEN parse_time(session['started'], 'unix_s') END) AS tool_started,
  count(DISTINCT session['command']) AS total_commands,
  greatest(count(DISTINCT process_id), count(DISTINCT process_guid)) AS total_processes,
  collect_set(concat('[', to_char(event_time, '%Y-%m-%d %H:%M:%S'), '] ', session['command']), 200) AS commands,
  collect_set("user", 20)['values'] AS users,
  -- Only CrowdStrike's WmiCreateProcess knows the client.
  collect_set(source_ip, 20)['values'] AS remote_ips,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  count(*) AS event_count,
  evidence(_table, _file, _row) AS evidence
FROM redirected
GROUP BY concat(short_host, ' ', lower(session['file']))
HAVING count(DISTINCT session['command']) >= $min_commands
   AND greatest(count(DISTINCT process_id), count(DISTINCT process_guid)) >= $min_processes
