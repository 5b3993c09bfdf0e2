"""The SQLite file: its tables, its public views, how it is opened and upgraded."""
