"""Numbers as text: tables, footnotes, listings, JSON.

`summary_table.text_table` makes the table of a run, `terminal.show` prints it.
"""
