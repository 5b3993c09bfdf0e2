-- failures by their cause, and the time they took
--
-- `fingerprint` is the same for failures of one cause, whatever their messages say in detail.
-- Beside max(), SQLite takes the other columns from the row of the maximum: the message is the newest.
WITH failed AS (
    SELECT f.run_identity, f.config_id, f.epochs, f.fingerprint, f.error_type, f.error_message,
        f.finished_at, sum(a.seconds) AS seconds
    FROM failures AS f
        CROSS JOIN attempts AS a USING (run_identity, config_id, epochs)
    WHERE f.run_identity GLOB coalesce(:identity, '*')
    GROUP BY f.run_identity, f.config_id, f.epochs
)
SELECT run_identity, error_type, count(*) AS failures, count(DISTINCT config_id) AS configs,
    round(sum(seconds), 3) AS seconds, max(finished_at) AS last_at, error_message,
    config_id AS for_example, epochs
FROM failed
GROUP BY run_identity, coalesce(fingerprint, error_type)
ORDER BY run_identity, failures DESC, last_at DESC
