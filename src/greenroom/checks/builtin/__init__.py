"""The checks that Greenroom runs itself, in dynos: what each is started with, and what its result means. No rows are
written here.
"""
