-- the twenty attempts that took longest
--
-- `seconds` are of the process: starting it, loading the checkpoint and all.
SELECT run_identity, seconds, config_id, epochs, attempt, status, gpu, host, started_at
FROM attempts
WHERE run_identity GLOB coalesce(:identity, '*')
ORDER BY seconds DESC
LIMIT 20
