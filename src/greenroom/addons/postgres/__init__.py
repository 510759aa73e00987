"""PostgreSQL databases of apps: made, attached, dropped."""
