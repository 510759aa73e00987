"""A second engine, as a sketch: plain processes in namespaces of their own, without bubblewrap and a supervisor.

It shows that the contract is whole: nothing outside of this folder knows it.
"""
