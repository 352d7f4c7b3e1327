"""Rendering the page: the source without the floats that these two runs have nothing for."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from induction.compare.comparison import VARIABLES, Comparison
from induction.compare.figures import shown_metrics
from induction.paths import StudyPaths
from induction.report.render import render

PAGE, PDF = "compare.html", "compare.pdf"

_CELL = re.compile(r"^```\{python\}\n#\| label: ([\w-]+)\n.*?^```\n\n?", re.MULTILINE | re.DOTALL)


def render_page(paths: StudyPaths, comparison: Comparison) -> str:
    """Write compare.html and compare.pdf beside the report; returns the renderer's name.

    Raises StudyError as `render` does; an earlier page is untouched then.
    """
    with tempfile.TemporaryDirectory(prefix="induction-compare-") as scratch:
        # A copy laid out like reports/, since its settings name the report's styles.
        source = Path(scratch) / "reports" / "compare"
        shutil.copytree(paths.report_source / "compare", source)
        shutil.copyfile(paths.report_source / "styles.css", source.parent / "styles.css")
        document = source / "index.qmd"
        text = without(document.read_text(encoding="utf-8"), absent(comparison))
        document.write_text(_titled(text, comparison), encoding="utf-8")
        folders = (str(run.paths.root.resolve()) for run in (comparison.a, comparison.b))
        return render(
            source,
            paths.report_output,
            page=PAGE,
            pdf=PDF,
            date=max(filter(None, (comparison.a.date, comparison.b.date)), default=None),
            environment=dict(zip(VARIABLES, folders, strict=True)),
        )


def absent(comparison: Comparison) -> set[str]:
    """Labels of the figures and tables that would be empty."""
    changed = comparison.changed_models
    in_many = bool(comparison.drawn_models) and not comparison.in_one_figure
    has_parameters = comparison.parameters or comparison.only_a or comparison.only_b
    there = {
        "tbl-parameters": has_parameters,
        "tbl-stages": comparison.a.stages and comparison.b.stages and comparison.reruns,
        "tbl-verdicts": comparison.verdicts,
        "tbl-checks": any(verdict.checks for verdict in comparison.verdicts),
        "fig-metrics": shown_metrics(comparison),
        "tbl-metrics": any(row.model in changed for row in comparison.rows),
        "fig-curves": comparison.in_one_figure,
        "fig-icl": in_many,
        "fig-prefix": in_many,
        "fig-loss": in_many,
        "fig-pca": comparison.paths_differ,
        "tbl-sources": comparison.sources,
        "tbl-packages": comparison.packages,
    }
    return {label for label, present in there.items() if not present}


def without(text: str, labels: set[str]) -> str:
    """A Quarto document less the cells of these labels."""
    return _CELL.sub(lambda cell: "" if cell[1] in labels else cell[0], text)


def _titled(text: str, comparison: Comparison) -> str:
    """The document with the names of the two runs as its subtitle."""
    subtitle = f"A: {comparison.a.label} · B: {comparison.b.label}"
    line = f"subtitle: {json.dumps(subtitle, ensure_ascii=False)}"
    return re.sub(r"^subtitle: .*$", lambda _: line, text, count=1, flags=re.MULTILINE)
