"""Rehearsals: pending migrations run on a copy of the staging database, with what they lock, rewrite and lose, before a
human runs them.
"""
