-- Security 5140 and 5145, whatever ships them.
-- An export that lost channel and provider is known by the fields that only these events have.
SELECT
  CASE WHEN "EventID" = 5140 THEN 'security:5140' ELSE 'security:5145' END AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  "ShareName" AS share_name,
  nullif("ShareLocalPath", '') AS share_local_path,
  "RelativeTargetName" AS relative_target_name,
  "ObjectType" AS object_type,
  "AccessMask" AS access_mask,
  -- One number a line, with the blanks of the rendered text.
  btrim(regexp_replace("AccessList", '\s+', ' ', 'g')) AS access_list,
  coalesce("SubjectDomainName" || '\' || "SubjectUserName", "SubjectUserName") AS "user",
  "SubjectUserSid" AS user_sid,
  "SubjectLogonId" AS logon_id,
  -- An IPv4 address on a socket of both kinds.
  regexp_replace("IpAddress", '^::ffff:(\d+\.)', '\1', 'i') AS source_ip,
  parse_int("IpPort") AS source_port
FROM source
WHERE "EventID" IN (5140, 5145)
  AND ("Channel" ILIKE 'security' OR "Provider" ILIKE '%security-auditing'
    OR (coalesce("Channel", '') = '' AND coalesce("Provider", '') = '' AND "ShareName" IS NOT NULL))
