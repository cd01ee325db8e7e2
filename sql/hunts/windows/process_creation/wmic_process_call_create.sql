-- ---
-- id: 71411a46-4cd3-4b30-b43c-c274fd498694
-- title: WMIC starts a process
-- status: stable
-- level: medium
-- description: >
--   wmic.exe, by its name or by the name in its version resource, with `process call create`: it has WMI start a
--   program, on this host or, with /node:, on another. Also `path win32_process call create`, any number of blanks or
--   tabs, and the words in quotes, which the published text would miss. `created` is what it starts, `node` where;
--   started locally it is a child of WmiPrvSE.exe, not of wmic.exe, which hides who asked. The corrected form of
--   MITRE's process analytic (see wmic_process_call_create_spl), whose other half is wmic_remote_node, and whose
--   PowerShell words are powershell_wmi_command_line's and, in PowerShell's own logs, powershell_wmi_call's. It misses
--   what is typed at wmic's own prompt, and renamed copies where the sensor has no original name (4688, CrowdStrike).
-- tags: [attack.execution, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://car.mitre.org/analytics/CAR-2016-03-002/
--   - https://lolbas-project.github.io/lolbas/Binaries/Wmic/
-- falsepositives:
--   - Software installers and administrators' scripts that start programs this way.
-- response:
--   - Find the child of WmiPrvSE.exe with that command line, here or on the node, and what it did.
--   - Ask why it was not simply started.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 49, message: "wmic.exe on {host_name} starts {created}"}
-- ---
WITH wmic AS (
  SELECT
    *,
    regexp_extract(xml_unescape(command_line), '(?is)process["'']?\s+["'']?call["'']?\s+["'']?create\b["'']?\s*(?<created>.*)$', 'created') AS created
  FROM process_creation
  WHERE lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe'
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  -- Quotes around the whole are wmic's, not the program's.
  nullif(regexp_replace(trim(created), '^(?:"([^"]*)"|''([^'']*)'')$', '${1}${2}'), '') AS created,
  regexp_extract(command_line, '(?i)[/\-–—―]node\s*:\s*"?(?<node>[^\s"]+)', 'node') AS node,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM wmic
WHERE created IS NOT NULL
