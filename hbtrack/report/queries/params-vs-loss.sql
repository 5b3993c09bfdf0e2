-- the loss for each value, or band of values, of a parameter
--
-- More than twelve values are cut into eight bands with about as many configs each; equal values are
-- in one band. A band that was promoted more often also has more `mean_epochs`, and losses fall with
-- epochs.
WITH by_value AS (
    SELECT p.run_identity, p.name, p.value, count(*) AS configs,
        min(l.loss) AS least, max(l.loss) AS most, max(s.maximize) AS maximize,
        sum(l.loss) AS losses, sum(l.epochs_reached) AS epochs
    FROM leaderboard AS l
        CROSS JOIN params AS p USING (run_identity, config_id)
        CROSS JOIN searches AS s USING (run_identity)
    WHERE l.run_identity GLOB coalesce(:identity, '*')
    GROUP BY p.run_identity, p.name, p.value
), banded AS (
    SELECT *, CASE WHEN count(*) OVER one_name <= 12 THEN row_number() OVER in_order
        ELSE 8 * (sum(configs) OVER in_order - configs) / sum(configs) OVER one_name END AS band
    FROM by_value
    WINDOW one_name AS (PARTITION BY run_identity, name), in_order AS (one_name ORDER BY value)
)
SELECT run_identity, name, min(value) AS "from", max(value) AS "to", sum(configs) AS configs,
    CASE WHEN maximize THEN max(most) ELSE min(least) END AS best_loss, sum(losses) / sum(configs) AS mean_loss,
    round(1.0 * sum(epochs) / sum(configs), 1) AS mean_epochs
FROM banded
GROUP BY run_identity, name, band
ORDER BY run_identity, name, band
