-- each bracket and rung: entered, done, failed, promoted, best
--
-- `cutoff_loss` is what a config had to reach to be promoted; NULL until the rung is settled, and
-- in the last rung, which promotes nobody.
SELECT run_identity, pass, bracket, rung, epochs, configs_planned, configs_entered, done, failed,
    running, promoted, best_loss, cutoff_loss
FROM rungs
WHERE run_identity GLOB coalesce(:identity, '*')
ORDER BY run_identity, pass, bracket DESC, rung
