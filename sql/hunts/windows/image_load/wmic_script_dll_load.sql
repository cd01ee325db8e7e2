-- ---
-- id: 3aca1b4f-d3fc-45f1-bc31-268cc4fd5051
-- title: WMIC loads a script engine
-- status: stable
-- level: high
-- description: >
--   wmic.exe loads jscript.dll, jscript9.dll or vbscript.dll, which it needs for nothing but the script inside a
--   stylesheet given to /format (T1220), whatever its command line looked like. The DLL is known by its name or by the
--   name in its version resource. Decided: any jscript*.dll counts; one process that loads both engines is one alert.
--   It misses a wmic.exe that runs under another name, as the event of a load does not carry the executable's version
--   resource; wmic_xsl_script finds that one by its command line.
-- tags: [attack.execution, attack.defense-evasion, attack.t1047, attack.t1220]
-- references:
--   - https://attack.mitre.org/techniques/T1220/
--   - https://attack.mitre.org/techniques/T1047/
-- falsepositives:
--   - Administration scripts with a stylesheet of their own; Windows' built-in formats do not load an engine.
-- response:
--   - Find the process by its process_guid and read its command line; fetch the stylesheet it names.
--   - Look at the children and connections of that process.
-- entities: {host: host_name, user: user}
-- key: [host_id, process]
-- risk: {score: 70, message: "wmic.exe on {host_name} loaded {image_loaded_name}"}
-- ---
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  image,
  process_id,
  process_guid,
  coalesce(process_guid, CAST(process_id AS VARCHAR)) AS process,
  image_loaded,
  image_loaded_name,
  original_file_name,
  signed,
  signature,
  hashes,
  _table,
  _file,
  _row
FROM image_load
WHERE lower(process_name) = 'wmic.exe'
  AND (image_loaded_name ~ '(?i)^(?:jscript.*|vbscript)\.dll$' OR original_file_name ~ '(?i)^(?:jscript.*|vbscript)\.dll$')
