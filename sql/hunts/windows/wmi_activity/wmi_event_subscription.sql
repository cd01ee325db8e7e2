-- ---
-- id: 1e912368-45e9-472d-93e9-56b7e33b79b0
-- title: Permanent WMI event subscription
-- status: stable
-- level: medium
-- description: >
--   A permanent event subscription or a part of one: a filter (what to wait for), a consumer (what to do then) or the
--   binding of the two, as Sysmon 19, 20 and 21, Windows' own 5861 and Defender report them. It runs code as SYSTEM
--   without a file or a service (T1546.003), and can be made on another host through WMI alone. `runs_code` tells
--   consumers that run a command line or a script from those that write a log. Decided: every such event is found,
--   deletions too, as a tool that cleans up may leave no more than that. Windows' own `SCM Event Log Filter` with its
--   `NTEventLogEventConsumer`, which is most of all real 5861 events, is marked `is_windows_own` and not hidden: names
--   are easily taken, so it counts as Windows' own only with Windows' own consumer, and query where that is known. To
--   be spared of it, set windows_own to false, or except `is_windows_own` in the job. One alert per host and object; a
--   filter and a consumer of one name are one. It misses a subscription made before logging began. 5861 comes again for
--   an old one whenever the service starts.
-- tags: [attack.persistence, attack.privilege-escalation, attack.execution, attack.t1546.003, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1546/003/
--   - https://attack.mitre.org/techniques/T1047/
--   - https://learn.microsoft.com/en-us/sysinternals/downloads/sysmon
-- falsepositives:
--   - Windows' own SCM Event Log Filter, marked is_windows_own.
--   - Management agents and vendor tools (power management, backup); few, and the same on many hosts.
-- response:
--   - Read what the consumer does in `destination` and `definition`.
--   - List __EventFilter, __EventConsumer and __FilterToConsumerBinding in root\subscription and remove what is not explained.
--   - Find who made it, by user and by the connection to this host at that second.
-- params: {windows_own: true}
-- entities: {host: host_name, user: user}
-- key: [host_id, object]
-- risk: {score: 50, message: "{kind} {object} on {host_name} by {user}"}
-- ---
WITH subscription AS (
  SELECT
    *,
    -- Sysmon quotes its values and puts a blank before them.
    btrim(name, ' "') AS plain_name,
    -- Sysmon 21 names both by their paths, 5861 the filter by its name and the consumer by class and name.
    coalesce(regexp_extract(filter, '(?i)Name\s*=\s*\\?"([^"\\]+)', 1), btrim(filter, ' "')) AS filter_name,
    regexp_extract(consumer, '(?i)(\w+EventConsumer)', 1) AS consumer_class,
    coalesce(regexp_extract(consumer, '=\s*\\?"([^"\\]+)', 1), btrim(consumer, ' "')) AS consumer_name,
    concat_ws(' ', name, filter, possible_cause) AS about_filter,
    concat_ws(' ', consumer_type, consumer, destination, possible_cause) AS about_consumer
  FROM wmi_activity
  WHERE kind IN ('permanent_subscription', 'event_filter', 'event_consumer', 'consumer_to_filter')
),
told AS (
  SELECT
    *,
    CASE kind
      WHEN 'event_filter' THEN
        lower(plain_name) = 'scm event log filter' AND query ILIKE '%select * from MSFT_SCMEventLogEvent%'
      WHEN 'event_consumer' THEN
        lower(plain_name) = 'scm event log consumer' AND consumer_type ~ '(?i)event ?log'
      ELSE
        about_filter ~ '(?i)SCM Event Log Filter'
        AND about_consumer ~ '(?i)NTEventLogEventConsumer(?:\.Name)?\s*=\s*\\?"SCM Event Log Consumer\\?"'
        AND NOT about_consumer ~ '(?i)CommandLineEventConsumer|ActiveScriptEventConsumer|SMTPEventConsumer|LogFileEventConsumer'
        AND coalesce(query ILIKE '%MSFT_SCMEventLogEvent%', true)
    END AS own
  FROM subscription
)
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  kind,
  operation,
  -- What makes its events the same: the filter's or consumer's name, or the two ends of a binding.
  lower(CASE
    WHEN kind IN ('event_filter', 'event_consumer') THEN coalesce(plain_name, name)
    ELSE concat_ws(' -> ', filter_name, consumer_class, consumer_name)
  END) AS object,
  coalesce(own, false) AS is_windows_own,
  coalesce(consumer_type ~ '(?i)^\W*(?:command\s?line|active\s?script|script)', false)
    OR coalesce(consumer ~ '(?i)(?:CommandLine|ActiveScript)EventConsumer', false) AS runs_code,
  namespace,
  query,
  name,
  filter,
  consumer,
  consumer_type,
  destination,
  possible_cause AS definition,
  "user",
  _table,
  _file,
  _row
FROM told
WHERE $windows_own OR NOT coalesce(own, false)
