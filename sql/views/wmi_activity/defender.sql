-- DeviceEvents, all three from Windows' WMI events, their fields in the JSON of AdditionalFields: ProcessCreatedUsingWmiQuery (22, 23),
-- RemoteWmiOperation (11, all but the creation of a process), WmiBindEventFilterToConsumer (5861).
SELECT
  'defender:' || "ActionType" AS event_type,
  coalesce("DeviceId", "DeviceName") AS host_id,
  coalesce("DeviceName", "DeviceId") AS host_name,
  CASE "ActionType"
    WHEN 'ProcessCreatedUsingWmiQuery' THEN 'process_create'
    WHEN 'RemoteWmiOperation' THEN 'remote_operation'
    ELSE 'permanent_subscription'
  END AS kind,
  coalesce(
    regexp_extract("AdditionalFields", '"OperationType"\s*:\s*"([^"]*)"', 1),
    nullif(concat_ws('::', regexp_extract("AdditionalFields", '"ClassName"\s*:\s*"([^"]*)"', 1), regexp_extract("AdditionalFields", '"MethodName"\s*:\s*"([^"]*)"', 1)), '')
  ) AS operation,
  regexp_replace(regexp_extract("AdditionalFields", '"Namespace"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g') AS namespace,
  coalesce(
    regexp_replace(regexp_extract("AdditionalFields", '"OperationDetails"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g'),
    -- Text of the repository, with its escapes.
    regexp_replace(regexp_extract(regexp_replace(regexp_extract("AdditionalFields", '"PossibleCause"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g'), '(?s)instance of __EventFilter.*?Query = "((?:[^"\\]|\\.)*)"', 1), '\\(["\\])', '\1', 'g')
  ) AS query,
  regexp_replace(regexp_extract("AdditionalFields", '"ESS"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g') AS name,
  regexp_replace(regexp_extract("AdditionalFields", '"ESS"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g') AS filter,
  regexp_replace(regexp_extract("AdditionalFields", '"Consumer"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g') AS consumer,
  regexp_extract("AdditionalFields", '"Consumer"\s*:\s*"(\w+)', 1) AS consumer_type,
  regexp_replace(regexp_extract(regexp_replace(regexp_extract("AdditionalFields", '"PossibleCause"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g'), '(?s)Perm\. Consumer:.*?(?:CommandLineTemplate|ExecutablePath|ScriptText|ScriptFileName|Filename) = "((?:[^"\\]|\\.)*)"', 1), '\\(["\\])', '\1', 'g') AS destination,
  coalesce(nullif("InitiatingProcessAccountDomain", '') || '\' || "InitiatingProcessAccountName", "InitiatingProcessAccountName",
    nullif("AccountDomain", '') || '\' || "AccountName", "AccountName") AS "user",
  regexp_extract("AdditionalFields", '"ClientMachine"\s*:\s*"([^"]*)"', 1) AS client_machine,
  regexp_replace(regexp_extract("AdditionalFields", '"PossibleCause"\s*:\s*"((?:[^"\\]|\\.)*)"', 1), '\\(["\\/])', '\1', 'g') AS possible_cause,
  CASE WHEN "ActionType" = 'ProcessCreatedUsingWmiQuery' THEN "ProcessCommandLine" END AS command_line,
  regexp_extract("RemoteIP", '^(?i:::ffff:)?(.+)$', 1) AS source_ip
FROM source
WHERE "ActionType" IN ('ProcessCreatedUsingWmiQuery', 'RemoteWmiOperation', 'WmiBindEventFilterToConsumer')
