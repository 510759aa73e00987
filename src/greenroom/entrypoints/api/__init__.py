"""The HTTP API, compatible with Heroku's Platform API."""
