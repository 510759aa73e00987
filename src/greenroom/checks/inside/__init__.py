"""What runs inside the dynos of the builtin checks: standard library only, for any Python from 3.8 on.

The control plane never imports tenants' files; these modules read them in the sandbox and leave one JSON file for it.
"""
