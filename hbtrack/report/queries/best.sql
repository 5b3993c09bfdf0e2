-- the ten best configs, each with the budget of its loss
--
-- `loss` is the best at any budget and `epochs` that budget; `epochs_reached` is how far the
-- config was trained. Where the two differ, more epochs made it worse.
SELECT run_identity, rank, loss, epochs, epochs_reached, config_id
FROM leaderboard
WHERE run_identity GLOB coalesce(:identity, '*') AND rank <= 10
ORDER BY run_identity, rank
