"""The formation that is wanted, the dynos that are seen."""
