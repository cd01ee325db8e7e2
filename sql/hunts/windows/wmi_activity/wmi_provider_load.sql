-- ---
-- id: 70ef6133-a8f7-410e-9f78-9d6dc12d9d67
-- title: WMI provider loaded
-- status: stable
-- level: informational
-- description: >
--   A WMI provider was started (WMI-Activity 5857): which DLL, in which process. CIMWin32 or WmiPerfInst say that WMI
--   was used at all. `outside_wbem` marks a DLL that does not lie in System32\wbem or SysWOW64\wbem of the Windows
--   folder: a provider is code that WMI runs as SYSTEM or as a service account, and an attacker's own lies elsewhere,
--   as do some of Windows' and most of other products. A name without a folder counts as outside. `failed` marks a
--   result other than 0x0. Decided: every start is found, one alert per host, provider and path. It misses a DLL that
--   was exchanged in place, and one that WmiPrvSE.exe loads beside its providers.
-- tags: [attack.execution, attack.persistence, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://learn.microsoft.com/en-us/windows/win32/wmisdk/tracing-wmi-activity
-- falsepositives:
--   - Nearly all rows; products bring providers of their own in their own folders.
-- response:
--   - With outside_wbem, check the DLL's signature and when it was written.
-- entities: {host: host_name}
-- key: [host_id, provider_name, provider_path]
-- risk: {score: 5, message: "{host_process} on {host_name} loaded provider {provider_name} from {provider_path}"}
-- ---
SELECT
  event_time,
  event_type,
  host_id,
  host_name,
  provider_name,
  provider_path,
  -- An unknown path is not called foreign.
  coalesce(NOT regexp_like(provider_path, '(?i)^"?(?:%systemroot%|%windir%|[a-z]:\\windows|\\systemroot)\\(?:system32|syswow64|sysnative)\\wbem\\'), false) AS outside_wbem,
  host_process,
  process_id,
  result_code,
  coalesce(parse_int(result_code) <> 0, false) AS failed,
  _table,
  _file,
  _row
FROM wmi_activity
WHERE kind = 'provider_start'
