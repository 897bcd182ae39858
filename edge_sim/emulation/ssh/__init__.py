"""A real board, reached by the user's own OpenSSH client: on the board only sh and tar are needed.

What comes back from a board is not trusted: sizes and times are limited, and text is made printable.
"""
