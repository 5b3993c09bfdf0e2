-- searches side by side, also after equally many epochs
--
-- `best_at_equal_epochs` is what each had found when it had spent as many epochs as the one that
-- spent fewest: the fair number to compare.
WITH chosen AS (
    SELECT * FROM searches WHERE run_identity GLOB coalesce(:identity, '*')
), spent AS (
    SELECT run_identity, sum(seconds) AS seconds, count(*) AS attempts
    FROM attempts
    WHERE run_identity GLOB coalesce(:identity, '*')
    GROUP BY run_identity
)
SELECT c.run_identity, c.status, c.max_epochs, c.eta, c.passes, c.epochs_done, c.epochs_planned,
    c.evaluations_failed AS failed, s.attempts, round(s.seconds, 3) AS seconds,
    c.best_loss, c.best_epochs,
    (SELECT i.loss FROM incumbents AS i
        WHERE i.run_identity = c.run_identity
        AND i.epochs_spent <= (SELECT min(epochs_done) FROM chosen WHERE epochs_done > 0)
        ORDER BY i.objective LIMIT 1
    ) AS best_at_equal_epochs,
    c.best_config_id
FROM chosen AS c LEFT JOIN spent AS s USING (run_identity)
ORDER BY c.best_objective IS NULL, c.best_objective
