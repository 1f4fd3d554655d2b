"""Embed scripts, styles and data safely in the page.

Usage:
    data_element(json_text({"label": "</script>"}))
    asset("page.css")
    content_security_policy([script])         # allows these scripts and no others
"""

import base64
import functools
import hashlib
import json
import math
from collections.abc import Iterable
from importlib import resources
from typing import Any

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def json_text(value: Any) -> str:
    """Return ``value`` as JSON without HTML's special characters; NaN is null, infinity a text.

    JSON has these characters only in strings, where an escape means the same.
    """
    dump = functools.partial(json.dumps, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text = dump(value)
    except ValueError:  # Only now, because visiting millions of numbers takes as long as writing.
        text = dump(_finite(value))
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return text


def data_element(text: str) -> str:
    """Return the element that holds the data of the page, the JSON ``text``, for its script."""
    return f'<script type="application/json" id="page-data">{text}</script>'


@functools.cache
def asset(name: str) -> str:
    """Return a file of the folder ``static``."""
    return (resources.files(__package__) / "static" / name).read_text(encoding="utf-8")


def content_security_policy(scripts: Iterable[str]) -> str:
    """Return a content security policy that allows no requests and only ``scripts``.

    Even a label that was not escaped could not run a script.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
