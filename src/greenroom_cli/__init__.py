"""The ``greenroom`` command: an HTTP client of the API in Heroku's words, and what starts and stops an installation."""
