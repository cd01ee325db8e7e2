-- CrowdStrike's own ids (UPIDs) are texts, unique on one sensor: compare them together with `host_id`. Names of hosts are in a file
-- of their own (aidmaster) unless the exporter added `ComputerName`.
-- WmiCreateProcess names no parent: what WMI creates, WmiPrvSE starts, and the process that acts (ContextProcessId) is taken to be it.
-- The same process is reported a second time, as ProcessRollup2 with the same TargetProcessId; whoever counts processes counts
-- `process_guid`. What is not known, an address or a name, is written `0` or `N/A`.
SELECT
  'crowdstrike:' || "event_simpleName" AS event_type,
  "aid" AS host_id,
  coalesce(CASE WHEN "ComputerName" NOT IN ('', '0', 'N/A') THEN "ComputerName" END, "aid") AS host_name,
  nullif(nullif("ImageFileName", ''), 'N/A') AS image,
  base_name(coalesce(CASE WHEN "FileName" NOT IN ('', '0', 'N/A') THEN "FileName" END, nullif("ImageFileName", 'N/A'))) AS process_name,
  nullif(nullif("OriginalFilename", ''), 'N/A') AS original_file_name,
  "CommandLine" AS command_line,
  "RawProcessId" AS process_id,
  "TargetProcessId" AS process_guid,
  nullif(nullif("ParentImageFileName", ''), 'N/A') AS parent_image,
  CASE
    WHEN "event_simpleName" = 'WmiCreateProcess' THEN 'WmiPrvSE.exe'
    ELSE base_name(coalesce(CASE WHEN "ParentBaseFileName" NOT IN ('', '0', 'N/A') THEN "ParentBaseFileName" END, "ParentImageFileName"))
  END AS parent_process_name,
  nullif(nullif("ParentCommandLine", ''), 'N/A') AS parent_command_line,
  CASE WHEN "event_simpleName" = 'WmiCreateProcess' THEN "ContextProcessId" ELSE "ParentProcessId" END AS parent_process_guid,
  nullif(nullif("UserName", ''), 'N/A') AS "user",
  nullif(nullif("UserSid", ''), 'N/A') AS user_sid,
  '0x' || to_hex("AuthenticationId") AS logon_id,
  CASE "IntegrityLevel"
    WHEN '0' THEN 'Untrusted'
    WHEN '4096' THEN 'Low'
    WHEN '8192' THEN 'Medium'
    WHEN '8448' THEN 'Medium'
    WHEN '12288' THEN 'High'
    WHEN '16384' THEN 'System'
    WHEN '20480' THEN 'Protected'
    ELSE nullif("IntegrityLevel", '')
  END AS integrity_level,
  -- A hash that was not computed is all zeros.
  nullif(concat_ws(',',
    'SHA256=' || CASE WHEN "SHA256HashData" ~ '[1-9a-fA-F]' THEN "SHA256HashData" END,
    'SHA1=' || CASE WHEN "SHA1HashData" ~ '[1-9a-fA-F]' THEN "SHA1HashData" END,
    'MD5=' || CASE WHEN "MD5HashData" ~ '[1-9a-fA-F]' THEN "MD5HashData" END), '') AS hashes,
  -- Only of WmiCreateProcess: the client, and this host.
  CASE WHEN "event_simpleName" = 'WmiCreateProcess' THEN
    coalesce(CASE WHEN "RemoteAddressIP4" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP4" END, CASE WHEN "RemoteAddressIP6" NOT IN ('', '0', 'N/A') THEN "RemoteAddressIP6" END) END AS source_ip,
  CASE WHEN "event_simpleName" = 'WmiCreateProcess' THEN
    coalesce(CASE WHEN "LocalAddressIP4" NOT IN ('', '0', 'N/A') THEN "LocalAddressIP4" END, CASE WHEN "LocalAddressIP6" NOT IN ('', '0', 'N/A') THEN "LocalAddressIP6" END) END AS destination_ip
FROM source
WHERE "event_simpleName" IN ('ProcessRollup2', 'SyntheticProcessRollup2', 'WmiCreateProcess')
