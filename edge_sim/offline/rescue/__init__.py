"""What a board's disk still holds of a group: definition, packages, code, settings, as a scenario that runs.

disk     a board's files, read and never written     tar        those of a tar file, laid out     board   and over ssh
contents models and code                             settings   config.json without what is secret
rescue   all of it, or an exporter's folder, into one folder
"""
