"""Reports: format analysed numbers as text, tables, charts and pages.

Only this package turns values into text. ``full_report.full_report`` writes the tables, charts and
page of runs, and ``publishing.publish.publish`` a folder for others.
"""
