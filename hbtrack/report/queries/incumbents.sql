-- each time the best improved, after how many epochs in all
SELECT run_identity, epochs_spent, loss,
    loss - lag(loss) OVER (PARTITION BY run_identity ORDER BY epochs_spent, objective DESC) AS change,
    epochs, config_id, finished_at
FROM incumbents
WHERE run_identity GLOB coalesce(:identity, '*')
ORDER BY run_identity, epochs_spent, objective DESC
