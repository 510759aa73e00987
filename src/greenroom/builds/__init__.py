"""Builds a slug from a push."""
