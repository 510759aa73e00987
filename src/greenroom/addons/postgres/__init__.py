"""PostgreSQL databases of apps."""
