"""JSON schemas (draft 2020-12) of what people write, made of its readers' own rows; docs/scenario.md is made of them.

What a schema refuses, the reader refuses as well; what a schema takes may still be refused, where one part of a file
contradicts another or a rule of V1 speaks against it.
"""
