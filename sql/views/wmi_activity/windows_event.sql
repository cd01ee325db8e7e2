-- WMI-Activity 5857 to 5861, whatever ships them. Their fields are UserData, which some shippers, nxlog among them, leave out: then they
-- are taken from the rendered text. An export that lost channel and provider is known by the fields that only these events have.
SELECT
  'wmi:' || "EventID" AS event_type,
  "Computer" AS host_id,
  "Computer" AS host_name,
  CASE "EventID"
    WHEN 5857 THEN 'provider_start'
    WHEN 5858 THEN 'client_failure'
    WHEN 5859 THEN 'notification_query'
    WHEN 5860 THEN 'temporary_subscription'
    ELSE 'permanent_subscription'
  END AS kind,
  coalesce("Operation", regexp_extract("Message", '(?s)\bOperation = (.*?); ResultCode = ', 1)) AS operation,
  coalesce(
    "Namespace", "NamespaceName",
    regexp_extract("Message", '^Namespace = (.*?);', 1),
    regexp_extract(coalesce("Operation", regexp_extract("Message", '(?s)\bOperation = (.*?); ResultCode = ', 1)), 'IWbemServices::\w+ - (.*?) : ', 1)
  ) AS namespace,
  CASE "EventID"
    WHEN 5858 THEN regexp_extract(coalesce("Operation", regexp_extract("Message", '(?s)\bOperation = (.*?); ResultCode = ', 1)), '(?s)IWbemServices::Exec(?:Notification)?Query(?:Async)? - .*? : (.*)', 1)
    -- Text of the repository, with its escapes.
    WHEN 5861 THEN regexp_replace(regexp_extract(coalesce("PossibleCause", "Message"), '(?s)instance of __EventFilter\s.*?\bQuery = "((?:[^"\\]|\\.)*)"', 1), '\\(["\\])', '\1', 'g')
    ELSE coalesce("Query", regexp_extract("Message", '(?s); NotificationQuery = (.*?); (?:OwnerName|UserName) = ', 1))
  END AS query,
  coalesce("ESS", regexp_extract("Message", '; Eventfilter = (.*?) \(refer to ', 1)) AS name,
  coalesce("ESS", regexp_extract("Message", '; Eventfilter = (.*?) \(refer to ', 1)) AS filter,
  coalesce("Consumer", regexp_extract("Message", '; Consumer = (.*?); PossibleCause = ', 1)) AS consumer,
  regexp_extract(coalesce("Consumer", regexp_extract("Message", '; Consumer = (.*?); PossibleCause = ', 1)), '^\w+', 0) AS consumer_type,
  CASE "EventID"
    WHEN 5861 THEN regexp_replace(regexp_extract(coalesce("PossibleCause", "Message"), '(?s)Perm\. Consumer:.*?\b(?:CommandLineTemplate|ExecutablePath|ScriptText|ScriptFileName|Filename) = "((?:[^"\\]|\\.)*)"', 1), '\\(["\\])', '\1', 'g')
  END AS destination,
  CASE "EventID"
    -- The field's name in 5859 is that of the log's own provider.
    WHEN 5859 THEN coalesce("ProviderName", CASE WHEN "Provider" NOT ILIKE 'Microsoft-Windows-WMI-Activity' THEN "Provider" END, regexp_extract("Message", ';\s+Provider\s*= (.*?), queryID = ', 1))
    ELSE coalesce("ProviderName", regexp_extract("Message", '^(.*?) provider started with ', 1))
  END AS provider_name,
  coalesce("ProviderPath", regexp_extract("Message", '; ProviderPath = (.*)', 1)) AS provider_path,
  coalesce("HostProcess", regexp_extract("Message", '\bHostProcess = (.*?);', 1)) AS host_process,
  nullif(coalesce("User", regexp_extract("Message", '; (?:User|UserName|OwnerName) = (.*?);', 1)), '') AS "user",
  nullif(coalesce("ClientMachine", "MachineName", regexp_extract("Message", '\bClientMachine = (.*?);', 1)), '') AS client_machine,
  CASE "EventID"
    WHEN 5857 THEN NULL
    WHEN 5858 THEN coalesce("ClientProcessId", parse_int(regexp_extract("Message", '; ClientProcessId = (\d+)', 1)))
    -- Older nxlog has the writing process where the event's own id belongs: the text goes first, here and in 5857.
    ELSE coalesce(parse_int(regexp_extract("Message", '; (?:ClientProcessID|HostProcessID) = (\d+)', 1)), "ProcessId")
  END AS client_process_id,
  CASE "EventID" WHEN 5857 THEN coalesce(parse_int(regexp_extract("Message", '; ProcessID = (\d+)', 1)), "ProcessId") END AS process_id,
  coalesce("Code", "ResultCode", regexp_extract("Message", '(?:result code|; ResultCode =) (0x[0-9A-Fa-f]+)', 1)) AS result_code,
  coalesce("PossibleCause", regexp_extract("Message", '(?s); PossibleCause = (.*)', 1)) AS possible_cause
FROM source
WHERE "EventID" BETWEEN 5857 AND 5861
  AND ("Channel" ILIKE '%wmi-activity%' OR "Provider" ILIKE '%wmi-activity%'
    OR (coalesce("Channel", '') = '' AND (coalesce("Provider", '') = '' OR "EventID" = 5859) AND coalesce("ProviderPath", "ResultCode", "NamespaceName", "ESS") IS NOT NULL))
