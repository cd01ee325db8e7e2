-- ---
-- id: 179a29bd-f71f-468d-8fe7-bb4fd6617016
-- title: WMIC against another computer
-- status: stable
-- level: medium
-- description: >
--   wmic.exe, by its name or by the name in its version resource, with the switch /node: (or -node:, and the
--   typographic dashes that a pasted line may hold): what it does, it does on the computers named, or in the file named
--   (`/node:@hosts.txt`). `nodes` lists them without quotes; `only_local` says that each is this host under another
--   name (localhost, 127.0.0.0/8, ::1, a dot or the host's own name). Those are found too: published tests and tools
--   use `/node:"127.0.0.1"`, and the switch is what the analytic of MITRE looks for. The corrected form of
--   remote_wmi_command_attempt, which takes the four letters anywhere (`/format:nodelist.xsl`). It misses what is typed
--   at wmic's own prompt, and renamed copies where the sensor has no original name (4688, CrowdStrike).
-- tags: [attack.execution, attack.lateral-movement, attack.t1047]
-- references:
--   - https://attack.mitre.org/techniques/T1047/
--   - https://learn.microsoft.com/en-us/windows/win32/wmisdk/wmic
--   - https://github.com/redcanaryco/atomic-red-team/blob/master/atomics/T1047/T1047.md
-- falsepositives:
--   - Administrators and inventory scripts that query other hosts.
-- response:
--   - Find what ran on the nodes at the same time; there it is a child of WmiPrvSE.exe.
--   - Ask whether the user administers those hosts. /user and /password on the line are credentials in the log.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 36, message: "wmic.exe on {host_name} addresses {nodes}: {command_line}"}
-- ---
WITH wmic AS (
  SELECT
    *,
    -- Without quotes, and without blanks but those within a name.
    btrim(regexp_replace(
      regexp_replace(
        regexp_extract(
          xml_unescape(command_line),
          '(?i)[/\-–—―]node\s*:\s*(?<nodes>(?:@?"[^"]*"|@?''[^'']*''|[^\s"'',]+)(?:\s*,\s*(?:@?"[^"]*"|@?''[^'']*''|[^\s"'',]+))*)',
          'nodes'
        ),
        '["'']', '', 'g'
      ),
      '\s*,\s*', ',', 'g'
    )) AS node_list
  FROM process_creation
  WHERE (lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe')
    AND regexp_like(xml_unescape(command_line), '(?i)[/\-–—―]node\s*:')
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  string_to_array(node_list, ',') AS nodes,
  -- Its own name is what precedes the first dot of the host's.
  coalesce(
    regexp_like(
      concat(',', node_list),
      concat('(?i)^(?:,+(?:localhost|127(?:\.\d{1,3}){1,3}|::1|\[::1\]|\.|', regexp_replace(split_part(host_name, '.', 1), '[^\w-]', '.', 'g'), '(?:\.[^,]*)?))+$')
    ),
    false
  ) AS only_local,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM wmic
