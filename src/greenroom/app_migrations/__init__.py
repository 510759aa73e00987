"""Migrations of the users' apps: pending migrations, and the migrate commands that users run."""
