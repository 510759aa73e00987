"""Programs that run inside the dynos of the built-in checks. Standard library only, Python 3.8 or newer.

The control plane never imports tenants' files; these modules read them in the sandbox and write one JSON file.
"""
