"""Greenroom: a staging system that is driven by git push and by the Heroku CLI."""

__version__ = "0.1.0"
