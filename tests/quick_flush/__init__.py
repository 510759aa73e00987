"""A Django database backend: PostgreSQL, whose tables are emptied quickly after a test that commits."""
