"""The HTTP API in Heroku's shape."""
