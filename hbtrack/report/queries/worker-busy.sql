-- how busy each worker was
--
-- `seconds` is all the time that an hbtrack worked on the search. Workers are numbered from 0. Idle
-- ones at the end of a search are usual: its last rungs have fewer configs than there are workers.
WITH worked AS (
    SELECT run_identity,
        sum(86400 * max(0, julianday(coalesce(ended_at, seen_at)) - julianday(started_at)))
            AS seconds
    FROM drivers
    WHERE run_identity GLOB coalesce(:identity, '*') AND workers IS NOT NULL
    GROUP BY run_identity
), busy AS (
    SELECT run_identity, worker, group_concat(DISTINCT gpu) AS gpus, count(*) AS attempts,
        sum(seconds) AS seconds
    FROM attempts
    WHERE run_identity GLOB coalesce(:identity, '*')
    GROUP BY run_identity, worker
)
SELECT b.run_identity, b.worker, b.gpus, b.attempts, round(b.seconds, 3) AS busy_seconds,
    round(w.seconds, 3) AS seconds, round(100 * b.seconds / w.seconds, 1) AS busy_percent
FROM busy AS b LEFT JOIN worked AS w USING (run_identity)
ORDER BY b.run_identity, b.worker
