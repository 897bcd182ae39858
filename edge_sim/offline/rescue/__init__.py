"""What a board's disk still holds of a group: definition, packages, code, settings, as a scenario that runs.

disk     a board's files, read and never written: below a directory, or in a tar file
group    group.json (or AWS's exporter's folder) as a definition         contents   models and code
settings config.json without what is secret                              rescue     all of it into one folder
"""
