"""Pipelines: apps of one product in stages, promotion from one to the next, test runs, review apps."""
