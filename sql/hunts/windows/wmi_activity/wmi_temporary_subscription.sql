-- ---
-- id: b8665887-7b9e-49dd-8da4-7bc57de1dee5
-- title: Temporary WMI event subscription
-- status: stable
-- level: low
-- description: >
--   A client waits for WMI events for as long as it runs (WMI-Activity 5860), or a notification query was registered
--   (5859). MITRE's analytic leaves both out. An attacker can watch processes or logons so without leaving a permanent
--   subscription. `watches` says which class it waits for, `is_remote` that the client is another machine, where the
--   event names one. Decided: all are found, and one alert per host, user and query, as the same program asks the same
--   on every start. It misses polling by plain queries.
-- tags: [attack.execution, attack.t1047, attack.t1546.003]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://attack.mitre.org/techniques/T1546/003/
-- falsepositives:
--   - Windows' remote management, security agents and monitoring wait for processes, services and devices all day.
-- response:
--   - Find the client by its process id, on the machine that is named.
--   - A query that no other host has is the one to read first.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, query]
-- risk: {score: 20, message: "{user} on {host_name} waits for {query}"}
-- ---
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  kind,
  "user",
  namespace,
  query,
  coalesce(
    regexp_extract(query, '(?i)\bisa\s+["'']?(\w+)', 1),
    regexp_extract(query, '(?i)\bfrom\s+(\w+)', 1)
  ) AS watches,
  provider_name,
  client_machine,
  -- The machine is named without its domain, the host with it.
  coalesce(lower(split_part(client_machine, '.', 1)) <> lower(split_part(coalesce(host_name, host_id), '.', 1)), false) AS is_remote,
  client_process_id,
  possible_cause,
  _table,
  _file,
  _row
FROM wmi_activity
WHERE kind IN ('notification_query', 'temporary_subscription')
