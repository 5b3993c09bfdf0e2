"""The user's script, asked from outside: it is imported only in a process of its own."""
