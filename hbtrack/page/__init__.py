"""One self-contained page of a search: what was found, drawn, and the SQL behind it."""
