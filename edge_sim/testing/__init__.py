"""Boards in the user's pytest: fixtures and assertions (``plugin``), the boards behind them (``bench``), their report.

``plugin`` is imported by every pytest of an environment that edge-sim is installed in; it imports the rest when a test
asks for it.
"""
