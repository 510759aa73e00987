"""Talks to the outside: files, processes, engines and networks. Nothing here decides."""
