"""The recorder for Django apps: standard library and the app's own Django only, for any Python from 3.8 on. Runs inside
a dyno.
"""
