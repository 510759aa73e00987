"""A sketch of a second engine: plain processes in their own namespaces, without bubblewrap and a supervisor.

It shows that the contract is complete: no code outside this folder refers to it.
"""
