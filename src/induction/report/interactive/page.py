"""Raw HTML blocks, data that cannot break out of them, and the scripts at the page's end."""

import base64
import gzip
import json
from importlib.resources import files
from typing import Any

import altair as alt
import vl_convert

_GLUE = ("start.js", "explorer.js", "prompts.js", "training.js", "tables.js")

# What could end a script, an HTML page or a Markdown fence early is written as an escape of JSON.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&`"}


def scripts() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, and the page's own: once, at its end."""
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    # Quarto takes tables in raw HTML apart, and would find one in the text of Vega's tooltips.
    bundle = bundle.replace("<table", r"\x3ctable").replace("</table", r"\x3c/table")
    glue = "\n".join(template(name) for name in _GLUE)
    return raw_html(
        # Functions of their own, so that no name of theirs meets one of the page.
        f"<script>(() => {{{bundle}}})();</script>\n"
        f'<script>(() => {{"use strict";\n{glue}}})();</script>'
    )


def raw_html(markup: str) -> str:
    """Markup as a block of Markdown that reaches the web page as it is, and the PDF not at all."""
    return f"```{{=html}}\n{markup}\n```\n"


def template(name: str) -> str:
    """A file beside this module."""
    return (files("induction.report.interactive") / name).read_text(encoding="utf-8")


def data(name: str, value: Any) -> str:
    """A value for the scripts, found by its name; the same value gives the same text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f'<script type="application/json" id="{name}">{text.translate(_ESCAPES)}</script>'


def packed(name: str, content: bytes) -> str:
    """Bytes for the scripts, found by their name: compressed, in base64."""
    text = base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")
    return f'<script type="text/plain" id="{name}">{text}</script>'


def chart(name: str, made: alt.TopLevelMixin) -> str:
    """The specification of a chart for the scripts, with the page's fonts and colours."""
    spec = made.to_dict(context={"pre_transform": False})
    spec.pop("$schema")
    spec["config"] = _LOOK
    return data(name, spec)


_LOOK = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "#5c5c5c",
        "gridColor": "#ececec",
        "labelColor": "#1f1f1f",
        "tickColor": "#5c5c5c",
        "titleColor": "#1f1f1f",
        "titleFontWeight": "normal",
    },
    "legend": {"titleFontWeight": "normal"},
    "text": {"color": "#1f1f1f"},
}
