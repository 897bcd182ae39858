"""A folder for PYTHONPATH: the agents of the fault tests load ``sitecustomize`` from it, releases of them as well."""
