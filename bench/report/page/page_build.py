"""The page itself: its template filled in, with all that it needs inside.

Usage:
    html = build(page_content(runs, drawings), vega_script())
"""

import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from bench.report.page import embedding
from bench.report.page.page_content import PageContent

SCRIPTS = ("grid.js", "trial.js", "charts.js", "page.js")
"""In this order, in one function of their own."""


def build(content: PageContent, vega: str) -> str:
    """One HTML file: no address in it is ever asked for anything. ``vega`` draws its charts."""
    script = '(() => {\n"use strict";\n' + "\n".join(map(embedding.asset, SCRIPTS)) + "})();"
    return template("page.html.j2").render(
        content=content,
        style=embedding.asset("page.css"),
        script=script,
        vega=vega,
        policy=embedding.content_security_policy([script, vega]),
        data=embedding.json_text(content.data()),
        specs=embedding.json_text(content.specs()),
    )


def template(name: str) -> Template:
    """A file of the folder ``templates``; what it is given is escaped."""
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
