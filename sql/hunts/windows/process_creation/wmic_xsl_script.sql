-- ---
-- id: d574511a-c066-42a2-ab75-d053498c5442
-- title: WMIC runs a stylesheet
-- status: stable
-- level: high
-- description: >
--   wmic.exe, by its name or by the name in its version resource, with a stylesheet that is not one of its own:
--   /format: with a URL, a share or a path, or `.xsl` anywhere in the line. A stylesheet may hold JScript or VBScript,
--   which wmic.exe then runs (T1220, "SquiblyTwo"); it needs no .xsl at its end. `stylesheet` is what the switch names,
--   `location` where that is: url, share, path or name. The switch may begin with a dash, quotes may be around the
--   switch or its value. The script DLLs that wmic.exe then loads are wmic_script_dll_load's: the proof that script
--   ran. It misses a name without path or ending (`/format:evil`, from wmic's own folder), and what is typed at wmic's
--   own prompt. The wide published search, where `format` is any text, is wmic_format.
-- tags: [attack.execution, attack.t1047, attack.defense-evasion, attack.t1220]
-- references:
--   - https://attack.mitre.org/techniques/T1220/
--   - https://lolbas-project.github.io/lolbas/Binaries/Wmic/
--   - https://www.microsoft.com/security/blog/2019/07/08/dismantling-a-fileless-campaign-microsoft-defender-atp-next-gen-protection-exposes-astaroth-attack/
-- falsepositives:
--   - The full path of a stylesheet of wmic's own, as in `/format:"%WINDIR%\System32\wbem\en-US\csv"`, an old workaround.
--   - Inventory software with a stylesheet of its own.
-- response:
--   - Fetch the stylesheet and read its script.
--   - Look for children of wmic.exe, its connections, and jscript.dll or vbscript.dll loaded by it.
-- entities: {host: host_name, user: user}
-- key: [host_id, user, command_line]
-- risk: {score: 64, message: "wmic.exe on {host_name} runs a stylesheet: {command_line}"}
-- ---
WITH wmic AS (
  SELECT
    *,
    -- What quotes enclose may hold blanks: /format:"C:\my sheets\a.xsl", or "/format:C:\my sheets\a.xsl".
    regexp_groups(
      xml_unescape(command_line),
      '(?i)"[/\-–—―]format\s*:\s*(?<switch>[^"]+)|[/\-–—―]format\s*:\s*(?:"(?<quoted>[^"]+)|''(?<single>[^'']+)|(?<bare>[^"''\s]+))'
    ) AS format
  FROM process_creation
  WHERE lower(process_name) = 'wmic.exe' OR lower(original_file_name) = 'wmic.exe'
),
named AS (
  SELECT *, trim(coalesce(format['switch'], format['quoted'], format['single'], format['bare'])) AS stylesheet
  FROM wmic
)
SELECT
  event_time,
  host_id,
  host_name,
  "user",
  process_name,
  stylesheet,
  CASE
    WHEN regexp_like(stylesheet, '(?i)^[a-z][a-z0-9+.-]+:[\\/]') THEN 'url'
    WHEN regexp_like(stylesheet, '^[\\/]{2}') THEN 'share'
    WHEN regexp_like(stylesheet, '(?i)^(?:[a-z]:|[^:]*[\\/])') THEN 'path'
    WHEN stylesheet IS NOT NULL THEN 'name'
  END AS location,
  command_line,
  parent_image,
  parent_command_line,
  process_id,
  process_guid,
  _table,
  _file,
  _row
FROM named
-- A drive, a URL, or a slash or dot before any colon; what follows a built-in name's colon are its options.
WHERE regexp_like(stylesheet, '(?i)^(?:[a-z]:|[a-z][a-z0-9+.-]+:[\\/]|[^:]*[\\/.])')
  OR command_line ILIKE '%.xsl%'
