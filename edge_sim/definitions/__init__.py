"""What people have of a Greengrass V1 group, in whatever form → ``Definition``, and back to one canonical bundle.

    reader.read(paths)         files or a folder → Definition              writer.dump(definition)   the bundle's YAML
    definition.Definition      group, findings, notes, ignored; ``locate`` gives file, line and column of a JSON path

Runs on the host; the agent has no use for it.
"""
