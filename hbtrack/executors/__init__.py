"""What starts, watches and stops attempts. Knows nothing of the plan or the database."""
