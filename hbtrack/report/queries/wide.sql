-- each config with its parameters and metrics as columns
--
-- Metrics are those that were printed beside `loss`. A parameter or a metric with the name of
-- another column is `param:NAME` or `metric:NAME`.
SELECT l.rank, l.run_identity, l.config,
    -- columns
    l.loss, l.epochs, l.epochs_reached, l.bracket, l.seconds, l.config_id
FROM leaderboard AS l
WHERE l.run_identity GLOB coalesce(:identity, '*')
ORDER BY l.run_identity, l.rank
