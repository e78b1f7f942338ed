"""The gateway's own identity state in a database: SQLite or PostgreSQL."""
