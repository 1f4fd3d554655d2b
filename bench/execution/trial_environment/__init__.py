"""Check and set what a trial's process inherits: variables, flags, versions, other load.

`inherited_environment.check_inherited` refuses environments that would make records wrong.
"""
