-- ---
-- id: 272df6de-61f1-4784-877c-1fbc3e2d0839
-- title: Remote WMI command attempt
-- status: stable
-- level: low
-- description: >
--   wmic.exe, by its name or by the name in its version resource, with `node` anywhere in its command line: the attempt
--   to run something on another host. As published it is wide: it also finds /node:127.0.0.1 and anything else that
--   holds the four letters. Absent fields are the text `null`, as the macro of the published search fills them, so that
--   no row is lost. Searches ignore case in Splunk; so does this.
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
-- response:
--   - Find what ran on the host that the command line names, at the same time.
--   - Ask whether the user administers that host.
-- entities: {host: host_name, user: known_user}
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
  -- The text `null` is nobody: entities are the hosts and users that are known.
  max(host_name) AS host_name,
  max("user") AS known_user,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  count(*) AS event_count,
  evidence(_table, _file, _row) AS evidence
FROM process_creation
WHERE (lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe')
  AND command_line ILIKE '%node%'
GROUP BY 1, 2, 3, 4, 5, 6, 7
