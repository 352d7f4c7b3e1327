"""Stage report: results → web page, PDF and the tables behind their figures."""

from concurrent.futures import ThreadPoolExecutor

import matplotlib

from induction.config import StudyConfig
from induction.paths import StudyPaths
from induction.report import provenance, style
from induction.report.figures import training
from induction.report.render import render
from induction.report.results import Results, load_results
from induction.report.sources import write_tables
from induction.stages import run_stage


def main(paths: StudyPaths, _config: StudyConfig) -> None:
    matplotlib.use("agg")
    style.use_style()
    results = load_results(paths)
    with ThreadPoolExecutor(1) as pool:
        # The renderer works in processes of its own, and nothing else is left to run.
        beside = pool.submit(_work_beside, paths, results)
        source, output = paths.report_source, paths.report_output
        renderer = render(source, output, date=provenance.commit_date(results))
        beside.result()
    print(f"rendered with {renderer}: {paths.report_output / 'index.html'}, report.pdf beside it")


def _work_beside(paths: StudyPaths, results: Results) -> None:
    """The picture of the whole for DVC's plots, and the tables behind the figures."""
    picture = training.summary(results)
    picture.savefig(paths.picture, bbox_inches="tight", metadata={"Date": None})
    write_tables(results, paths.figure_tables)


if __name__ == "__main__":
    run_stage("report", main, timed=False)
