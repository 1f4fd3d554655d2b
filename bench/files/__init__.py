"""Files that others may have written: read within bounds, and written where no link leads.

``reading`` reads a file that the user names, ``folder`` all that is below a folder which the
user names, ``private_folder`` makes folders to which nobody else writes, ``toml`` parses.
"""
