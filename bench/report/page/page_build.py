"""Build the page: fill in its template and embed everything that it needs.

Usage:
    content = page_content(runs, drawings)
    html = build(content, json_text(content.data()), vega_script())
"""

import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from bench.report.page import embedding
from bench.report.page.page_content import PageContent

SCRIPTS = ("grid.js", "trial.js", "charts.js", "page.js")
"""Concatenated in this order, in one function."""


def build(content: PageContent, data: str, vega: str) -> str:
    """Return the page as one HTML file without requests.

    Its script reads ``data``, the JSON of ``content.data()``; the script ``vega`` draws its charts.
    """
    script = '(() => {\n"use strict";\n' + "\n".join(map(embedding.asset, SCRIPTS)) + "})();"
    return template("page.html.j2").render(
        content=content,
        style=embedding.asset("page.css"),
        script=script,
        vega=vega,
        policy=embedding.content_security_policy([script, vega]),
        data=embedding.data_element(data),
    )


def template(name: str) -> Template:
    """Return a template of the folder ``templates``; it escapes its values."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
