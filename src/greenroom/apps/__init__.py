"""Apps: their names, domains, collaborators and settings."""
