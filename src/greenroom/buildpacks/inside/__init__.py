"""Scripts that run in build and install dynos: standard library only, Python 3.10 or later, no import of Greenroom."""
