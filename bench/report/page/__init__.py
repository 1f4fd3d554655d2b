"""Write the page of a report: one HTML file about one or more runs that needs no network.

``write_page`` is the entry point. ``page_content`` collects the sections, ``page_build`` fills in
the templates, and ``embedding`` makes scripts and data safe to embed.
"""
