"""Runs as others may read them: made, listed, verified.

`publish.publish` writes a folder, `verification.differences` checks one.
"""
