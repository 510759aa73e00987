"""The machine side of the command: starts, watches and ends the components of one installation."""
