"""Stage report: results → web page, PDF and the tables behind their figures."""

import matplotlib

from induction.config import StudyConfig
from induction.paths import StudyPaths
from induction.report import provenance, style
from induction.report.figures import training
from induction.report.render import render
from induction.report.results import load_results
from induction.report.sources import write_tables
from induction.stages import run_stage


def main(paths: StudyPaths, _config: StudyConfig) -> None:
    matplotlib.use("agg")
    style.use_style()
    results = load_results(paths)
    picture = training.summary(results)
    picture.savefig(paths.picture, bbox_inches="tight", metadata={"Date": None})
    write_tables(results, paths.figure_tables)
    renderer = render(
        paths.report_source, paths.report_output, date=provenance.commit_date(results)
    )
    print(f"rendered with {renderer}: {paths.report_output / 'index.html'}, report.pdf beside it")


if __name__ == "__main__":
    run_stage("report", main, timed=False)
