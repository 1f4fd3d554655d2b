"""What a trial's process inherits: variables, flags, versions, other load.

`inherited_environment.check_inherited` refuses what would make records untrue.
"""
