"""The report as a web page and a PDF, by Quarto where there is one, by pandoc and typst elsewhere.

The cells of `index.qmd` run once, in its own folder; the environment variable INDUCTION_RENDERER
tells them which of the two is at work.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from induction.files import whole_file
from induction.report.render.pandoc import HTML, PDF, render_with_pandoc, renderer_name
from induction.report.render.quarto import find_quarto, render_with_quarto
from induction.report.render.source import Source

RENDERER_VARIABLE = "INDUCTION_RENDERER"


def render(
    source_dir: Path,
    output_dir: Path,
    *,
    page: str = HTML,
    pdf: str = PDF,
    date: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Render a Quarto project to a web page and a PDF; returns the renderer's name.

    The program that QUARTO names renders, else the `quarto` on PATH, else pandoc and typst; with
    QUARTO set to nothing, Quarto is not looked for. The same source and date give the same bytes.

    `page` and `pdf` name the two files in `output_dir`; whatever else lies there stays. `date`
    (2026-01-31) takes the place of the document's own, and files are stamped with it.
    `environment` holds further variables for the cells.

    Raises StudyError in one line for anything that is wrong in the source, and leaves an earlier
    output untouched then.
    """
    source = Source(source_dir, date)
    quarto = find_quarto()
    name = quarto.name if quarto else renderer_name()
    epoch = str(source.epoch)
    variables = {
        **os.environ,
        **(environment or {}),
        RENDERER_VARIABLE: name,
        "SOURCE_DATE_EPOCH": epoch if date else os.environ.get("SOURCE_DATE_EPOCH", epoch),
        # A backend chosen for scripts would keep the cells from showing their figures.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    with tempfile.TemporaryDirectory(prefix="induction-report-") as scratch:
        if quarto:
            render_with_quarto(quarto, source, Path(scratch), variables)
        else:
            render_with_pandoc(source, Path(scratch), variables)
        # Both are written before either takes the place of an earlier one.
        with whole_file(output_dir / page) as new_page, whole_file(output_dir / pdf) as new_pdf:
            shutil.copyfile(Path(scratch) / HTML, new_page)
            shutil.copyfile(Path(scratch) / PDF, new_pdf)
    return name
