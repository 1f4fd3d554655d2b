"""Publish runs for others to read, list them, and verify them.

`publish.publish` writes a folder, `published_index` lists the folders, and
`verification.differences` checks that a folder is what its records give.
"""
