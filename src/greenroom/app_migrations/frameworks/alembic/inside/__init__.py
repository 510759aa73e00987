"""Programs that run in a dyno of the app, with its own Python: standard library only, never imported here."""
