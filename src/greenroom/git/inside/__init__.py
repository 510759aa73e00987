"""The one script behind all hooks, started by git and kept to the standard library."""
