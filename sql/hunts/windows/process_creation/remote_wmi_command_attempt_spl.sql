-- ---
-- id: 2c333eaa-bdd5-432c-afda-95b3b41bffff
-- title: Remote WMI Command Attempt (Splunk, as published)
-- status: test
-- level: low
-- description: >
--   The published search, its by-list and its column names: dest, user, parent_process, process_name, process,
--   process_id, parent_process_id, count, firstTime, lastTime. Absent by-fields are the text `null`, which is what
--   `security_content_summariesonly` gives as fillnull_value, so that no row is lost. `security_content_ctime` makes
--   text of the times, %Y-%m-%dT%H:%M:%S in whole seconds without a zone: Splunk writes the searching user's, here UTC.
--   first_seen and last_seen are the same as times. `drop_dm_object_name` takes `Processes.` off the names.
--   `remote_wmi_command_attempt_filter` is `search *`, nothing, until somebody fills it: here that hook are a job's
--   exceptions, which mark a finding instead of dropping it. Decided: the where clause of tstats ignores case as search
--   does; a process id is its decimal text, from every sensor; user is the sensor's own spelling. It runs every hour
--   over -70m@m to -10m@m; jobs/hourly.yaml has that schedule. The same search under lakehunt's names, with entities,
--   is remote_wmi_command_attempt; the corrected hunt is wmic_remote_node.
-- tags: [attack.execution, attack.t1047]
-- references:
--   - https://github.com/redcanaryco/atomic-red-team/blob/master/atomics/T1047/T1047.yaml
--   - https://thedfirreport.com/2023/05/22/icedid-macro-ends-in-nokoyawa-ransomware/
-- source:
--   language: SPL
--   document: "Detection: Remote WMI Command Attempt, version 6"
--   query: |
--     | tstats `security_content_summariesonly` count min(_time) as firstTime max(_time) as lastTime from datamodel=Endpoint.Processes where `process_wmic` Processes.process=*node* by Processes.dest Processes.user Processes.parent_process Processes.process_name Processes.process Processes.process_id Processes.parent_process_id
--     | `drop_dm_object_name(Processes)`
--     | `security_content_ctime(firstTime)`
--     | `security_content_ctime(lastTime)`
--     | `remote_wmi_command_attempt_filter`
-- falsepositives: [Administrators may use this legitimately to gather info from remote systems. Filter as needed.]
-- entities: {host: dest, user: user}
-- key: [dest, user, process]
-- risk: {score: 36, message: "A wmic.exe process {process} contain node commandline {process} in host {dest}"}
-- ---
SELECT
  coalesce(host_name, 'null') AS dest,
  coalesce("user", 'null') AS "user",
  coalesce(parent_command_line, 'null') AS parent_process,
  coalesce(process_name, 'null') AS process_name,
  coalesce(command_line, 'null') AS process,
  coalesce(CAST(process_id AS VARCHAR), 'null') AS process_id,
  coalesce(CAST(parent_process_id AS VARCHAR), 'null') AS parent_process_id,
  count(*) AS "count",
  to_char(min(event_time), '%Y-%m-%dT%H:%M:%S') AS "firstTime",
  to_char(max(event_time), '%Y-%m-%dT%H:%M:%S') AS "lastTime",
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  count(*) AS event_count,
  evidence(_table, _file, _row) AS evidence
FROM process_creation
WHERE (lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe')
  AND command_line ILIKE '%node%'
GROUP BY 1, 2, 3, 4, 5, 6, 7
