-- was stopping right? who rose by half the field in a rung
--
-- Rows are configs that rose from one rung to the next by half the number of configs or more; both
-- ranks are among those that were measured in both rungs. Many late risers say that the cheap
-- budget tells little: a smaller eta, or fewer brackets, stops less early.
WITH pairs AS (
    SELECT low.run_identity, low.pass, low.bracket, low.rung, low.epochs, high.epochs AS next_epochs,
        low.config_id, low.slot, low.loss, high.loss AS next_loss,
        low.objective, high.objective AS next_objective
    FROM results AS low
        JOIN results AS high
            ON high.run_identity = low.run_identity AND high.pass = low.pass
            AND high.bracket = low.bracket AND high.slot = low.slot AND high.rung = low.rung + 1
    WHERE low.run_identity GLOB coalesce(:identity, '*')
        AND low.promoted = 1 AND high.status = 'done'
), ranked AS (
    SELECT *, count(*) OVER here AS configs,
        row_number() OVER (here ORDER BY objective, slot) AS rank,
        row_number() OVER (here ORDER BY next_objective, slot) AS next_rank
    FROM pairs
    WINDOW here AS (PARTITION BY run_identity, pass, bracket, rung)
)
SELECT run_identity, pass, bracket, rung, epochs, next_epochs, rank, next_rank, configs,
    loss, next_loss, config_id
FROM ranked
WHERE configs > 2 AND (rank - next_rank) * 2 >= configs
ORDER BY run_identity, pass, bracket DESC, rung, next_rank
