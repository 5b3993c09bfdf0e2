-- attempts lost or run again, hbtracks that fell silent
--
-- All of it was made good: the evaluation ran again from the script's own checkpoint. An hbtrack
-- that runs now has no `ended_at` either; `hbtrack status` knows whether it lives.
SELECT run_identity, started_at, coalesce(finished_at, started_at) AS until,
    'attempt ' || CASE WHEN retried IS NULL THEN status ELSE status || ', run again: ' || retried END
        AS what,
    config_id, epochs, attempt, signal, seconds, host
FROM attempts
WHERE run_identity GLOB coalesce(:identity, '*')
    AND (status IN ('interrupted', 'lost') OR retried IS NOT NULL)
UNION ALL
SELECT run_identity, started_at, coalesce(seen_at, started_at), 'hbtrack not heard of since', NULL, NULL, NULL, NULL,
    round(86400 * max(0, julianday(seen_at) - julianday(started_at)), 3), host
FROM drivers
WHERE run_identity GLOB coalesce(:identity, '*') AND ended_at IS NULL
ORDER BY run_identity, until, started_at
