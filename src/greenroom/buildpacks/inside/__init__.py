"""The scripts that run inside build and install dynos. Standard library only, Python 3.10 or newer; nothing of
Greenroom is imported there.
"""
