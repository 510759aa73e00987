"""Migrations of tenants: what is pending, and the runs that humans start."""
