"""The way from V1 to V2, from files to files: a group and its packages in, a report and V2's files out.

materials    packages unpacked, and what they hold      moves     a move for each board and nucleus
report       the report as a value, in every format     folder    written whole or not at all
"""
