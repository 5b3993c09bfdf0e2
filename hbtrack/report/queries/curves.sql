-- the loss of every promoted config at each of its budgets
--
-- A reused result is the same measurement seen from another bracket, so it is left out.
WITH measured AS (
    SELECT run_identity, config_id, epochs, loss,
        loss - lag(loss) OVER curve AS change,
        count(*) OVER (PARTITION BY run_identity, config_id) AS budgets,
        min(objective) OVER (PARTITION BY run_identity, config_id) AS best
    FROM results
    WHERE run_identity GLOB coalesce(:identity, '*') AND status = 'done' AND NOT reused
    WINDOW curve AS (PARTITION BY run_identity, config_id ORDER BY epochs)
)
SELECT run_identity, config_id, epochs, loss, change
FROM measured
WHERE budgets > 1
ORDER BY run_identity, best, config_id, epochs
