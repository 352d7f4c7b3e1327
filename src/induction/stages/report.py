"""Stage report: results → web page and PDF."""

import matplotlib

from induction.config import StudyConfig
from induction.paths import StudyPaths
from induction.report import style
from induction.report.figures import training
from induction.report.render import render
from induction.report.results import load_results
from induction.stages import run_stage


def main(paths: StudyPaths, _config: StudyConfig) -> None:
    matplotlib.use("agg")
    style.use_style()
    picture = training.summary(load_results(paths))
    picture.savefig(paths.picture, bbox_inches="tight", metadata={"Date": None})
    renderer = render(paths.report_source, paths.report_output)
    print(f"rendered with {renderer}: {paths.report_output / 'index.html'}, report.pdf beside it")


if __name__ == "__main__":
    run_stage("report", main, timed=False)
