"""The external repository that an app follows: fetches, webhooks, and status reports on its commits."""
