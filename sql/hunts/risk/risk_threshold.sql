-- ---
-- id: 678d3904-ee11-4f76-8f98-0e3d81102e3d
-- title: Risk of an entity above the threshold
-- status: stable
-- level: high
-- description: >
--   A host, user or address whose new alerts of seven days add up to a risk of more than 100, from three hunts or more:
--   many small things about one entity that alone would wake nobody, as Splunk's risk-based alerting has it. It reads
--   `risk`, so that repeats and excepted alerts add nothing, and the alert tells all that contributed in order of time.
--   It fires in the tile in which new risk takes the sum there, or adds to it; without new risk it is silent, however
--   long the old one lasts. Names are compared in small letters, so that CORP\x and corp\X are one. Decided: one hunt
--   that fires often is no reason, whatever its score; scores are added as they are, without weights; accounts that
--   every host has (NT AUTHORITY\SYSTEM) are nobody. It misses what is spread over two names of one host. Where $days
--   grows, `lookback` has to.
-- tags: [lakehunt.risk]
-- references:
--   - https://docs.splunk.com/Documentation/ES/latest/Admin/RBA
-- falsepositives:
--   - One command that several hunts know, each from its side; the sum is then of one event.
--   - Jump hosts and management servers, whose administrators set off many hunts; except what they do, hunt by hunt.
-- response:
--   - Read `story` from the top; each line is an alert with its id, for `lakehunt alerts show ID`.
--   - Ask whether one person or program explains all lines; if so, except that where it is found.
-- lookback: 7d
-- params: {above: 100, min_hunts: 3, days: 7}
-- entities: {host: host, user: user, ip: ip, target_ip: target_ip}
-- key: [kind, entity]
-- risk:
--   score: 0       # what it adds up is counted already
--   message: "Risk {risk_score} of {kind} {entity} from {hunt_count} hunts: {hunts}; tactics: {tactics}"
-- ---
WITH known AS (
  SELECT * FROM risk
  WHERE entity <> '' AND NOT (kind = 'user' AND (entity IN ('system', 'local service', 'network service') OR entity LIKE 'nt authority\%'))
),
ends AS (
  SELECT DISTINCT kind, entity, last_seen AS until FROM known
),
sums AS (
  SELECT ends.kind, ends.entity, ends.until
  FROM ends
  JOIN known AS risk ON risk.kind = ends.kind AND risk.entity = ends.entity
  WHERE date_diff('second', risk.last_seen, ends.until) BETWEEN 0 AND $days * 86400
  GROUP BY ends.kind, ends.entity, ends.until
  HAVING sum(risk.risk_score) > $above AND count(DISTINCT risk.hunt) >= $min_hunts
),
latest AS (
  SELECT kind, entity, max(until) AS until FROM sums GROUP BY kind, entity
)
SELECT
  latest.kind,
  latest.entity,
  CASE WHEN latest.kind = 'host' THEN latest.entity END AS host,
  CASE WHEN latest.kind = 'user' THEN latest.entity END AS "user",
  CASE WHEN latest.kind = 'ip' THEN latest.entity END AS ip,
  CASE WHEN latest.kind = 'target_ip' THEN latest.entity END AS target_ip,
  sum(risk.risk_score) AS risk_score,
  count(DISTINCT risk.hunt) AS hunt_count,
  array_sort(array_agg(DISTINCT risk.hunt)) AS hunts,
  array_sort(array_distinct(flatten(array_agg(risk.tactics)))) AS tactics,
  array_sort(array_distinct(flatten(array_agg(risk.techniques)))) AS techniques,
  array_agg(
    concat(
      to_char(risk.first_seen, '%Y-%m-%d %H:%M:%SZ'), '  +', risk.risk_score, '  ', risk.hunt, '  ',
      risk.message, '  [', substr(risk.alert_id, 1, 12), ']'
    )
    ORDER BY risk.first_seen, risk.alert_id
  ) AS story,
  array_agg(risk.alert_id ORDER BY risk.first_seen, risk.alert_id) AS alert_ids,
  count(*) AS event_count,
  min(risk.first_seen) AS first_seen,
  max(risk.last_seen) AS last_seen,
  evidence(risk._table, risk._file, risk._row) AS evidence
FROM latest
JOIN known AS risk ON risk.kind = latest.kind AND risk.entity = latest.entity
WHERE date_diff('second', risk.last_seen, latest.until) BETWEEN 0 AND $days * 86400
GROUP BY latest.kind, latest.entity
