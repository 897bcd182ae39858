"""What the rules say about a definition, for people and machines. Runs on the host.

examples.py   a minimal bad and a minimal good definition for each rule
explain.py    the catalogue as text, JSON and Markdown
verdict.py    a definition judged, for no board or for several; findings with file, line and column
text, sarif, junit, github   a verdict as people, code hosts and CI systems read it
grid.py       one definition on many boards and core versions; cache.py keeps the answers
"""
