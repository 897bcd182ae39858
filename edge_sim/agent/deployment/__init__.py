"""A deployment on the board: prepared aside, changed over at once, its secrets, layout and record."""
