-- what each bracket cost, and the best it found
--
-- An evaluation counts for the bracket that it was first made for; its seconds are of all its
-- attempts, lost ones too. A config that goes on from 9 to 27 epochs is trained for 18 more.
WITH evaluations AS (
    SELECT run_identity, pass, bracket, config_id, epochs, status, loss, attempts,
        epochs - lag(epochs, 1, 0) OVER (PARTITION BY run_identity, config_id ORDER BY epochs)
            AS trained,
        CASE WHEN attempts <= 1 THEN seconds ELSE (
            SELECT sum(a.seconds) FROM attempts AS a
            WHERE a.run_identity = r.run_identity AND a.config_id = r.config_id
                AND a.epochs = r.epochs
        ) END AS seconds
    FROM results AS r
    WHERE run_identity GLOB coalesce(:identity, '*') AND NOT reused
)
SELECT run_identity, pass, bracket, count(*) AS evaluations, sum(attempts) AS attempts,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    sum(trained) FILTER (WHERE status IN ('done', 'failed')) AS epochs,
    round(sum(seconds), 3) AS seconds,
    round(100 * sum(seconds) / sum(sum(seconds)) OVER (PARTITION BY run_identity), 1) AS percent,
    CASE WHEN (SELECT maximize FROM searches AS s WHERE s.run_identity = e.run_identity)
        THEN max(loss) FILTER (WHERE status = 'done')
        ELSE min(loss) FILTER (WHERE status = 'done') END AS best_loss
FROM evaluations AS e
GROUP BY run_identity, pass, bracket
ORDER BY run_identity, pass, bracket DESC
