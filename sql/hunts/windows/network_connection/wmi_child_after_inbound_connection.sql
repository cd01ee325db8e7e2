-- ---
-- id: 34412d38-d414-4341-a4ff-873aab4d8c6f
-- title: Process started through WMI after an inbound connection
-- status: stable
-- level: high
-- description: >
--   Another machine connects to port 135, 5985 or 5986 of this host, and WmiPrvSE.exe starts a process: remote
--   execution through WMI, told by what happened and not by how a command line looks. MITRE describes it in words and
--   CAR-2014-12-001 allows one second. Sensors stamp connections late, so that on real attacks one second finds 1 of 5,
--   and -1 to +15 seconds (`before`, `within`) 5 of 5. A client connects once and then runs commands for hours: later
--   children of the same WmiPrvSE.exe inherit its address for `session_hours` after the last child that followed a
--   connection (the lookback must cover that). One finding is one client address, one WmiPrvSE.exe and all that it
--   started; `relation` is `connection` where a connection preceded each process, and `session` where some were
--   inherited.
--   Decided: the nearest connection in time names the client, and `other_source_ips` are who else connected then, the
--   ones to look at next on a busy server. A connection is of the host when the names are the same, whatever their
--   case, or one is short and the other begins with it. A session goes by the short name alone, so that sensors which
--   write the host in full and short give one finding; the price is that two hosts of one short name in two domains are
--   one where the process ids of their WmiPrvSE.exe agree too, and may inherit each other's client. The same
--   WmiPrvSE.exe means the same process id, and the same id of the sensor where both events have one; so Sysmon and the
--   Security log, which report one process twice, give one finding. A log in whole seconds may put a process before its
--   session, so a second of that is allowed. Connections from the loopback or from the host's own address do not count.
--   Processes that run as SYSTEM are kept, where Elastic's rule leaves them out: a hijacked provider DLL starts just
--   those; see `integrity_levels`.
--   It misses hosts without a log of connections, WinRM shells (their parent is wsmprovhost.exe), connections seen only
--   on the wire, which name no host, clients that connected before the lookback, and what scrcons.exe starts. Two
--   clients that use one WmiPrvSE.exe are told apart by their connections alone; what neither preceded goes to the
--   last.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.003, attack.t1021.006]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://car.mitre.org/analytics/CAR-2014-12-001/
--   - https://github.com/elastic/detection-rules/blob/main/rules/windows/lateral_movement_incoming_wmi.toml
-- falsepositives:
--   - Management software that runs commands through WMI; Configuration Manager, HP's and monitoring agents. Except them by host, address and command.
--   - On a server that many machines connect to, such as a domain controller, a local use of WMI that a connection happens to precede.
-- response:
--   - Read the commands in their order and ask who sits at source_ip, then at other_source_ips.
--   - Find the logon (Security 4624, type 3) from that address just before the first command.
--   - Look for the same address on other hosts; isolate the host and reset the account if the activity is not explained.
-- lookback: 9h
-- params: {before: 1, within: 15, session_hours: 8}
-- entities: {host: host_name, ip: source_ip, user: users}
-- key: [session_key]
-- risk: {score: 64, message: "{source_ip} connected to {host_name}, then processes started by WmiPrvSE.exe: {total_processes}"}
-- ---
WITH inbound AS (
  SELECT
    lower(coalesce(host_name, host_id)) AS host,
    -- The short name; an address is no name to be cut.
    lower(CASE
      WHEN coalesce(host_name, host_id) ~ '^[\d.]+$|:' THEN coalesce(host_name, host_id)
      ELSE split_part(coalesce(host_name, host_id), '.', 1)
    END) AS short_host,
    source_ip,
    destination_port,
    event_time AS connected,
    arrow_cast(event_time, 'Int64') AS connected_us,
    _table AS connection_table,
    _file AS connection_file,
    _row AS connection_row,
    -- The children it may have started lie in this slot of time or in the next: equality finds them, then the exact test.
    unnest(make_array(0, 1))
      + (arrow_cast(event_time, 'Int64') - CAST($before * 1000000 AS BIGINT)) / (CAST(($before + $within) * 1000000 AS BIGINT) + 1) AS slot
  FROM network_connection
  WHERE destination_port IN (135, 5985, 5986)
    AND (direction = 'inbound' OR (direction IS NULL AND lower(destination_hostname) = lower(host_name)))
    AND coalesce(source_ip <> destination_ip, true)
    AND coalesce(cidr_match(source_ip, '127.0.0.0/8'), false) = false
    AND coalesce(cidr_match(source_ip, '::1/128'), false) = false
    AND source_ip IS NOT NULL
),
child AS (
  SELECT
    lower(coalesce(host_name, host_id)) AS host,
    -- The short name; an address is no name to be cut.
    lower(CASE
      WHEN coalesce(host_name, host_id) ~ '^[\d.]+$|:' THEN coalesce(host_name, host_id)
      ELSE split_part(coalesce(host_name, host_id), '.', 1)
    END) AS short_host,
    host_id,
    host_name,
    event_time AS started,
    arrow_cast(event_time, 'Int64') AS started_us,
    arrow_cast(event_time, 'Int64') / 1000000 AS started_s,
    arrow_cast(event_time, 'Int64') / (CAST(($before + $within) * 1000000 AS BIGINT) + 1) AS slot,
    coalesce(CAST(parent_process_id AS VARCHAR), lower(parent_process_guid)) AS wmiprvse,
    lower(parent_process_guid) AS wmiprvse_guid,
    process_id,
    process_guid,
    coalesce(command_line, image, process_name) AS command,
    "user",
    integrity_level,
    _table AS child_table,
    _file AS child_file,
    _row AS child_row
  FROM process_creation
  WHERE lower(parent_process_name) = 'wmiprvse.exe'
),
-- One row for each process, with the connections nearest to it, in that order.
connected AS (
  SELECT
    child.child_table,
    child.child_file,
    child.child_row,
    max(child.short_host) AS short_host,
    max(child.host_id) AS host_id,
    max(child.host_name) AS host_name,
    max(child.started) AS started,
    max(child.started_us) AS started_us,
    max(child.started_s) AS started_s,
    max(child.wmiprvse) AS wmiprvse,
    max(child.wmiprvse_guid) AS wmiprvse_guid,
    max(child.process_id) AS process_id,
    max(child.process_guid) AS process_guid,
    max(child.command) AS command,
    max(child."user") AS "user",
    max(child.integrity_level) AS integrity_level,
    collect_set(
      CASE WHEN inbound.source_ip IS NOT NULL THEN named_struct(
        'distance', abs(child.started_us - inbound.connected_us),
        'ip', inbound.source_ip,
        'port', inbound.destination_port,
        'delay', (child.started_us - inbound.connected_us) / 1000000.0,
        'at', inbound.connected,
        'table', inbound.connection_table,
        'file', inbound.connection_file,
        'row', inbound.connection_row
      ) END,
      50
    )['values'] AS nearest
  FROM child
  LEFT JOIN inbound
    ON child.short_host = inbound.short_host
   AND child.slot = inbound.slot
   AND (child.host = inbound.host OR strpos(child.host, '.') = 0 OR strpos(inbound.host, '.') = 0)
   AND child.started_us - inbound.connected_us >= - CAST($before * 1000000 AS BIGINT)
   AND child.started_us - inbound.connected_us <= CAST($within * 1000000 AS BIGINT)
  GROUP BY child.child_table, child.child_file, child.child_row
),
named AS (
  SELECT *, nearest[1]['ip'] AS nearest_ip
  FROM connected
),
inherited AS (
  SELECT
    *,
    last_value(nearest_ip) IGNORE NULLS OVER session AS session_ip,
    last_value(CASE WHEN nearest_ip IS NOT NULL THEN started_us END) IGNORE NULLS OVER session AS session_us,
    last_value(CASE WHEN nearest_ip IS NOT NULL THEN coalesce(wmiprvse_guid, '') END) IGNORE NULLS OVER session AS session_guid,
    -- Two sensors report one process; whole seconds may put one of them outside the window.
    nearest_ip IS NOT NULL
      OR coalesce(bool_or(nearest_ip IS NOT NULL) OVER (PARTITION BY short_host, wmiprvse, process_id) AND process_id IS NOT NULL, false) AS follows_connection
  FROM named
  WINDOW session AS (
    PARTITION BY short_host, wmiprvse
    ORDER BY started_s
    RANGE BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING
  )
),
related AS (
  SELECT
    *,
    coalesce(nearest_ip, session_ip) AS client_ip,
    coalesce(wmiprvse, concat(child_file, ':', child_row)) AS session,
    -- 0 is the process itself, the others are its connections.
    unnest(range(0, 1 + CAST(cardinality(nearest) AS BIGINT))) AS part
  FROM inherited
  WHERE nearest_ip IS NOT NULL
     OR (wmiprvse IS NOT NULL
         AND session_us >= started_us - CAST($session_hours * 3600000000 AS BIGINT)
         AND (session_guid = '' OR wmiprvse_guid IS NULL OR session_guid = wmiprvse_guid))
),
contributed AS (
  SELECT
    *,
    CASE WHEN part > 0 THEN nearest[part] END AS connection,
    -- The nearest connections of the client are evidence, few of them, so that they do not crowd out the processes; others are named.
    part = 0 OR (part <= 4 AND nearest[part]['ip'] = client_ip) AS is_evidence
  FROM related
)
SELECT
  min(host_id) AS host_id,
  max(host_name) AS host_name,
  client_ip AS source_ip,
  concat_ws(' ', short_host, client_ip, session) AS session_key,
  max(wmiprvse) AS wmiprvse_process,
  CASE WHEN bool_or(NOT follows_connection) THEN 'session' ELSE 'connection' END AS relation,
  min(CASE WHEN is_evidence THEN connection['delay'] END) AS least_delay,
  max(CASE WHEN is_evidence THEN connection['delay'] END) AS greatest_delay,
  collect_set(CASE WHEN is_evidence THEN connection['port'] END, 10)['values'] AS ports,
  collect_set(CASE WHEN connection['ip'] <> client_ip THEN connection['ip'] END, 20) AS other_source_ips,
  greatest(count(DISTINCT process_id), count(DISTINCT process_guid)) AS total_processes,
  collect_set(
    concat('[', to_char(started, '%Y-%m-%d %H:%M:%S'), '] ', CASE WHEN follows_connection THEN 'connection: ' ELSE 'session: ' END, command),
    200
  ) AS commands,
  collect_set("user", 20)['values'] AS users,
  collect_set(integrity_level, 10)['values'] AS integrity_levels,
  min(CASE WHEN part = 0 THEN started WHEN is_evidence THEN connection['at'] END) AS first_seen,
  max(CASE WHEN part = 0 THEN started WHEN is_evidence THEN connection['at'] END) AS last_seen,
  count(DISTINCT CASE
    WHEN part = 0 THEN concat_ws(' ', child_table, child_file, child_row)
    WHEN is_evidence THEN concat_ws(' ', connection['table'], connection['file'], connection['row'])
  END) AS event_count,
  evidence(
    CASE WHEN part = 0 THEN child_table WHEN is_evidence THEN connection['table'] END,
    CASE WHEN part = 0 THEN child_file ELSE connection['file'] END,
    CASE WHEN part = 0 THEN child_row ELSE connection['row'] END
  ) AS evidence
FROM contributed
GROUP BY short_host, client_ip, session
