"""The repository elsewhere that is an app's source of truth: fetched, hinted at by webhooks, told what becomes of its
commits.
"""
