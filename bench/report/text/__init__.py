"""Numbers as text: tables, footnotes, listings, terminal output and JSON.

`summary_table.text_table` makes the table of a run, `footnotes` the notes on its cells, and
`terminal.show` prints both.
"""
