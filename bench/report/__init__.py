"""Reports: format analysed numbers as text, tables, charts and pages.

Only this package turns values into text. ``write_report.write_report`` writes the tables of a run,
``page.write_page.write_page`` its page, and ``publishing.publish.publish`` a folder for others.
"""
