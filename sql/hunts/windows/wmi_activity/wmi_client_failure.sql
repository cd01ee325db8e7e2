-- ---
-- id: e1ee48a2-d80a-433b-8441-17cfaba71efb
-- title: WMI call failed
-- status: stable
-- level: informational
-- description: >
--   A call to WMI that failed (WMI-Activity 5858), with the machine, user and process that made it. A call that
--   succeeds leaves no such event, so this shows attempts, tools that probe, and names that do not exist on this host.
--   `is_process_create` marks a method call of Win32_Process: somebody tried to start a process through WMI.
--   `is_remote` marks a client on another machine. Decided: every failure is found, and one alert per host, client
--   machine, kind of call and namespace, without the object, which differs from call to call. It misses what is refused
--   before it reaches the service.
-- tags: [attack.execution, attack.discovery, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://learn.microsoft.com/en-us/windows/win32/wmisdk/wmi-error-constants
-- falsepositives:
--   - Nearly all rows; group policy and management software ask for classes and instances that are not there.
-- response:
--   - With is_process_create and is_remote, look at the client machine and for later attempts that succeeded.
-- entities: {host: host_name, user: user}
-- key: [host_id, client_machine, call, namespace]
-- risk: {score: 5, message: "{client_machine} failed with {result_code} on {host_name}: {operation}"}
-- ---
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  "user",
  client_machine,
  client_process_id,
  coalesce(lower(split_part(client_machine, '.', 1)) <> lower(split_part(coalesce(host_name, host_id), '.', 1)), false) AS is_remote,
  regexp_extract(operation, '(?i)(IWbem\w+::\w+)', 1) AS call,
  lower(replace(regexp_extract(operation, '(?i)IWbem\w+::\w+\s+-\s+([^:]*?)\s+:', 1), '/', '\')) AS namespace,
  coalesce(operation ~ '(?i)ExecMethod.*Win32_Process(?:\b|::)', false) AS is_process_create,
  operation,
  result_code,
  possible_cause,
  _table,
  _file,
  _row
FROM wmi_activity
WHERE kind = 'client_failure'
