"""The built-in checks, which run in dynos: their dyno specs, and the reading of their results. Writes no rows."""
