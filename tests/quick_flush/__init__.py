"""A Django database backend: PostgreSQL with a fast flush after tests that commit."""
