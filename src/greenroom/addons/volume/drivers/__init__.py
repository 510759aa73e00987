"""Copies of files between volumes of one app."""
