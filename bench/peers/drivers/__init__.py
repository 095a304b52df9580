"""Each system by its own public API, as a program that the bench gives orders to.

These run in the environment of the system they drive, which has nothing of ours installed.
"""
