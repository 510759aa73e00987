"""Runs dynos. ``contract`` defines the interface of an engine; ``local`` implements it on this machine."""
