-- ---
-- id: 2f0f6c0a-5a0e-4a57-8f5b-0c8a5c5d3b21
-- title: Suspected WMIExec abuse (LogScale, as published)
-- status: test
-- level: high
-- description: >
--   The published hunt, word for word, quirks included: the expression ignores case but file name and exclusions do not;
--   `^cmd.exe` refuses full and quoted paths; a blank must follow the number; the redirect file keeps its leading blank;
--   the exclusions delete the tool's own opening commands, and with them most real sessions; the lag since the tool's
--   start must be over a second. Decided where the documentation is silent: `\ ` in a LogScale string is a literal
--   backslash and a blank; times are compared in whole milliseconds; a fraction in UnixTimeSeconds is accepted;
--   a dot is neither CR nor LF, so a command of several lines is dropped; groupBy skips an event that lacks one of its
--   keys, so in CrowdStrike both IPv4 addresses are wanted, and what came over IPv6 is dropped; an address written `0`
--   or `N/A` is not known and taken for a key that is lacking, where LogScale would group by the text; `@timestamp` is
--   the time of the sensor (ContextTimeStamp), when the command ran. It may be the cloud's receipt (`timestamp`), later
--   by the upload; then hardly any lag is under a second, and the published hunt keeps what this one drops for its lag.
--   Outside CrowdStrike the event name is ignored and the addresses are NULL, which groups them as one. Counts are
--   exact, where LogScale estimates. The corrected hunt is wmiexec_shared_output_file.
-- tags: [attack.execution, attack.t1047]
-- references: [https://attack.mitre.org/techniques/T1047/]
-- source:
--   language: LogScale
--   document: Suspected WMIExec Abuse Hunt Query Documentation, 1.0, 2025-06-06
--   query: |
--     #repo="base_sensor" #event_simpleName="WmiCreateProcess"
--     | FileName="cmd.exe"
--     | regex("^cmd.exe /Q /c (?<wmic_command>.*) 1>(?<redirect_file>.+?__(?<_file.timestamp>\d+\.\d+))\s", field="CommandLine", flags="i")
--     | CommandLine =~ !in(values=["*/Q /c cd  1>*","*/Q /c cd \ 1>*","*/Q /c netstat -anop TCP*"])
--     | _time := formatTime("%Q")
--     | _time.file := parseTimestamp(field=_file.timestamp, format=UnixTimeSeconds)
--     | _time.delta := _time - _time.file
--     | test(_time.delta>1000)
--     | _time := formatTime("%Y/%m/%d %H:%M:%S", field=_time)
--     | wmi_activity := format(format="[%s] %s", field=[_time, wmic_command])
--     | groupBy([aid, redirect_file, LocalAddressIP4, RemoteAddressIP4], function=[
--       collect(wmi_activity),
--       count(field=wmic_command, as=total_commands, distinct=true),
--       count(field=TargetProcessId, as=total_pids, distinct=true)
--       ], limit=max)
--     | total_commands>1 total_pids>1
-- falsepositives: [Automation that uses WMI in ways that mimic interactive sessions.]
-- lookback: 3h
-- entities: {host: host_name, ip: source_ip}
-- key: [host_id, redirect_file, destination_ip, source_ip]
-- risk: {score: 64, message: "{total_commands} commands through {redirect_file} on {host_name}"}
-- ---
WITH matched AS (
  SELECT
    *,
    -- `[^\r\n]` is LogScale's dot: Rust's stops at a line feed only.
    regexp_groups(
      command_line,
      '(?i)^cmd[^\r\n]exe /Q /c (?<wmic_command>[^\r\n]*) 1>(?<redirect_file>[^\r\n]+?__(?<file_timestamp>\d+\.\d+))\s'
    ) AS parts
  FROM process_creation
  WHERE process_name = 'cmd.exe'
    AND regexp_like(command_line, '(?i)^cmd[^\r\n]exe /Q /c [^\r\n]* 1>[^\r\n]+?__\d+\.\d+\s')
    AND NOT wildcard_match(command_line, '*/Q /c cd  1>*', true)
    AND NOT wildcard_match(command_line, '*/Q /c cd \ 1>*', true)
    AND NOT wildcard_match(command_line, '*/Q /c netstat -anop TCP*', true)
    AND (
      event_type NOT LIKE 'crowdstrike:%'
      -- The view has one column for both kinds of address; the published keys are those of IPv4.
      OR (event_type = 'crowdstrike:WmiCreateProcess' AND strpos(source_ip, ':') = 0 AND strpos(destination_ip, ':') = 0)
    )
)
SELECT
  host_id,
  max(host_name) AS host_name,
  parts['redirect_file'] AS redirect_file,
  destination_ip,
  source_ip,
  collect_set(concat('[', to_char(event_time, '%Y/%m/%d %H:%M:%S'), '] ', parts['wmic_command']), 2000) AS wmi_activity,
  count(DISTINCT parts['wmic_command']) AS total_commands,
  count(DISTINCT coalesce(process_guid, CAST(process_id AS VARCHAR))) AS total_pids,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  count(*) AS event_count,
  evidence(_table, _file, _row) AS evidence
FROM matched
WHERE date_diff(
    'millisecond',
    date_trunc('millisecond', parse_time(parts['file_timestamp'], 'unix_s')),
    date_trunc('millisecond', event_time)
  ) > 1000
GROUP BY host_id, parts['redirect_file'], destination_ip, source_ip
HAVING count(DISTINCT parts['wmic_command']) > 1
   AND count(DISTINCT coalesce(process_guid, CAST(process_id AS VARCHAR))) > 1
