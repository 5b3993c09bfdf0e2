"""What is written to and read from the database: facts in, facts out, nothing decided."""
