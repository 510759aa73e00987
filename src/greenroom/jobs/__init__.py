"""Jobs: commands that the worker runs in one-off dynos at planned times."""
