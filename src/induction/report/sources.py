"""The appendix behind the figures: for each one its data as CSV and the function that draws it."""

import base64
import inspect
from html import escape
from pathlib import Path

from induction.files import write_text
from induction.report.figures.catalogue import FIGURES, Entry
from induction.report.results import Results


def figure_sources(results: Results) -> str:
    """Markdown: a block for each figure, which its caption links to, with what made it.

    Not a heading: with a number it would fill the contents, and of one without a number Quarto's
    PDF drops the identifier.

    In the web page the data are a download held by the page itself and the code unfolds; the PDF
    names both.
    """
    return "\n\n".join(_source(label, entry, results) for label, entry in FIGURES.items())


def write_tables(results: Results, folder: Path) -> None:
    """Write the table behind every figure as `folder/LABEL.csv`."""
    for label, entry in FIGURES.items():
        write_text(folder / f"{label}.csv", entry.csv(results))


def _source(label: str, entry: Entry, results: Results) -> str:
    table = entry.csv(results)
    rows, columns = table.count("\n") - 1, table.partition("\n")[0].split(",")
    rest = f" What else it shows stands behind {', '.join(f'@{other}' for other in entry.also)}."
    listed = ", ".join(f"`{name}`" for name in columns[:9]) + (" …" if len(columns) > 9 else "")
    download = base64.b64encode(table.encode()).decode()
    return "\n\n".join(
        [
            f"::: {{#data-{label} .figure-source}}",
            f"**{label}.** @{label} shows `{label}.csv`, {rows:,} rows of {listed}. "
            f"It is drawn by `{entry.name}` (`{entry.place(results.paths)}`)."
            + (rest if entry.also else ""),
            "```{=html}\n"
            f'<p><a class="download" download="{label}.csv" '
            f'href="data:text/csv;base64,{download}">Download {label}.csv</a></p>\n'
            "<details><summary>Code</summary>"
            f"<pre><code>{escape(inspect.getsource(entry.function))}</code></pre></details>\n"
            "```",
            ":::",
        ]
    )
