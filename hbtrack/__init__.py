"""Hyperband over a user's own training script, kept in one SQLite file, resumed exactly."""

__version__ = "0.1.0"
