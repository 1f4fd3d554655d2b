"""Read and write files that others may have made, safely.

``bounded_reading`` reads a file that the user names, and ``folder`` everything below a folder that
the user names. ``private_folder`` makes folders that nobody else can write to. ``toml_file`` and
``yaml_file`` parse, and ``module_finder`` makes files importable.
"""
