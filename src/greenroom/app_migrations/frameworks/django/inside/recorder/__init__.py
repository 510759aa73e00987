"""The recorder for Django apps, which runs in a dyno: standard library and the app's own Django only, Python 3.8 or
later.
"""
