-- ---
-- id: c4e9f7c9-4061-4c86-96be-e1de0ef4850b
-- title: WMI call over RPC
-- status: stable
-- level: medium
-- description: >
--   Calls of WMI's own interfaces, decoded on the wire (Zeek dce_rpc): IWbemServices and the logins before it, and
--   IRemUnknown2, by which MITRE recognises WMI over DCOM. `purpose` says what a call does: `execute` (ExecMethod,
--   which `process call create` becomes), `write` (PutInstance, PutClass, deletions: subscriptions are made so), `read`
--   (queries), `login`, or `object` (IRemUnknown2: any DCOM object). Interfaces and calls are known by name or, where
--   the sensor has none, by UUID and by MS-WMI's numbers; case does not matter. Decided: all of these are found, the
--   purpose tells them apart, and one alert is one client, server and purpose. An encrypted call keeps its interface
--   and number, so it is found too; the command itself is not in it. It misses WMI over WinRM, and sensors that drop
--   IRemUnknown2 as noise.
-- tags: [attack.execution, attack.lateral-movement, attack.t1047, attack.t1021.003]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://car.mitre.org/analytics/CAR-2014-11-007/
--   - https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-wmi/
-- falsepositives:
--   - Management and monitoring servers; they query, and some of them execute.
--   - IRemUnknown2 belongs to all of DCOM, not to WMI alone.
-- response:
--   - With `execute`, find the children of WmiPrvSE.exe on the destination at that second.
--   - Ask whether the client manages the server.
-- entities: {ip: source_ip, target_ip: destination_ip}
-- key: [source_ip, destination_ip, purpose]
-- risk: {score: 45, message: "{source_ip} called {interface} {operation} on {destination_ip}"}
-- ---
WITH decoded AS (
  SELECT
    *,
    CASE
      WHEN endpoint ~ '(?i)IWbemServices|9556dc99-828c-11cf-a37e-00aa003240c7' THEN 'IWbemServices'
      WHEN endpoint ~ '(?i)IWbemLevel1Login|f309ad18-d86a-11d0-a075-00c04fb68820' THEN 'IWbemLevel1Login'
      WHEN endpoint ~ '(?i)IWbemLoginClientID|d4781cd6-e5d3-44df-ad94-930efe48a887|9f6c78ef-fce5-42fa-abea-3e7df91921dc' THEN 'IWbemLoginClientID'
      WHEN endpoint ~ '(?i)IWbemLoginHelper|541679ab-2e5f-11d3-b34e-00104bcc4b4a' THEN 'IWbemLoginHelper'
      WHEN endpoint ~ '(?i)IWbem' THEN endpoint
      WHEN endpoint ~ '(?i)IRemUnknown2|00000143-0000-0000-c000-000000000046' THEN 'IRemUnknown2'
    END AS interface,
    -- Opnums of IWbemServices: 8 to 11 classes, 14 to 17 instances, 24 and 25 methods.
    parse_int(regexp_extract(operation, '(?i)^unknown-(\d+)$', 1)) AS opnum
  FROM dce_rpc
  WHERE endpoint ~ '(?i)IWbem|IRemUnknown2|9556dc99-828c-11cf-a37e-00aa003240c7|f309ad18-d86a-11d0-a075-00c04fb68820|d4781cd6-e5d3-44df-ad94-930efe48a887|9f6c78ef-fce5-42fa-abea-3e7df91921dc|541679ab-2e5f-11d3-b34e-00104bcc4b4a|00000143-0000-0000-c000-000000000046'
)
SELECT
  event_time,
  host_id,
  host_name,
  source_ip,
  source_port,
  destination_ip,
  destination_port,
  interface,
  CASE
    WHEN interface = 'IRemUnknown2' THEN 'object'
    WHEN interface ILIKE 'IWbemL%' THEN 'login'
    WHEN operation ILIKE 'ExecMethod%' OR (interface = 'IWbemServices' AND opnum IN (24, 25)) THEN 'execute'
    WHEN operation ~ '(?i)^(?:Put|Delete)(?:Class|Instance)' OR (interface = 'IWbemServices' AND opnum IN (8, 9, 10, 11, 14, 15, 16, 17)) THEN 'write'
    ELSE 'read'
  END AS purpose,
  operation,
  endpoint,
  named_pipe,
  rtt,
  uid,
  _table,
  _file,
  _row
FROM decoded
