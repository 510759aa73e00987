"""Reads a commit's files and plans its build. Pure."""
