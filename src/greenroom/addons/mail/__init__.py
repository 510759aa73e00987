"""Mail traps: an SMTP server per add-on that keeps all mail of an app, in a dyno of its own."""
