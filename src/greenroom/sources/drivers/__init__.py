"""Talks to files, processes, engines and networks. Contains no decisions."""
