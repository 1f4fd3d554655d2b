"""Draw a run's charts, each from one Altair specification for files and the interactive page.

``report_data`` reads a run, ``all_figures`` lists its charts, ``rendering`` draws them as SVG and
PNG, and ``render_process`` does so in another process.
"""
