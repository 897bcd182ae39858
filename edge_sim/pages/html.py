"""A page as one HTML file that needs nothing else: no network, no script, and its data inside.

Every value is a stranger's. Jinja2 escapes all of them (text, attributes and SVG alike), what does not print is written
as an escape, the JSON can end no element, and the Content-Security-Policy allows the one style sheet by its hash and
nothing besides: should an escape ever be forgotten, a browser still loads and runs nothing.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edge_sim import __version__
from edge_sim.pages.drawing import draw
from edge_sim.pages.page import Page
from edge_sim.pages.plot import plot
from edge_sim.printing import printable

_TEMPLATES = Path(__file__).parent / "templates"
DATA_MOST = 8 * 1024 * 1024
"""Characters of JSON in the file: a browser has to read past them, and a mail to carry them."""
_LEFT_OUT = "The data, {size} MB of JSON, is not included in this file: --report FILE.json writes it."
_LONE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, as in a name that is not UTF-8: strict readers of JSON refuse it."""
_DATA = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""What could end a script element, or a line of it, is written as JSON's own escapes."""


def render(page: Page, *, at: datetime | None = None, dated: bool = True) -> str:
    """Return the HTML file; ``at`` is when the report was made, now unless it is given.

    Without ``dated`` it does not say when, and the same page gives the same bytes.
    """
    data = embedded(page.data)
    left_out = _LEFT_OUT.format(size=len(data) >> 20) if len(data) > DATA_MOST else None
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    created = (at or datetime.now(timezone.utc)).strftime("%Y-%m-%d %H:%M UTC, ") if dated else ""
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            version=__version__,
            made=created,
            style=Markup(style),  # noqa: S704 - a file of ours
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            left_out=left_out,
            data=Markup(embedded({"left_out": left_out}) if left_out else data),  # noqa: S704 - escaped for where it stands
        )
    )


def embedded(data: Mapping[str, object]) -> str:
    """Return JSON that may stand in a script element."""
    text = json.dumps(data, ensure_ascii=False)
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", text).translate(_DATA)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["draw"] = draw
    environment.globals["plotted"] = plot
    environment.globals["marks"] = {"bad": "✗", "open": "?", "good": "✓", "plain": "·"}
    environment.tests["block"] = lambda value, name: type(value).__name__ == name
    return environment


def _printable(value: object) -> object:
    """Return text without characters that do not print: they could turn a line around, or hide in it."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
