"""Stage report: results → web page and PDF."""

from induction.config import StudyConfig
from induction.paths import StudyPaths
from induction.report.render import render
from induction.stages import run_stage


def main(paths: StudyPaths, _config: StudyConfig) -> None:
    renderer = render(paths.report_source, paths.report_output)
    print(f"rendered with {renderer}: {paths.report_output / 'index.html'}, report.pdf beside it")


if __name__ == "__main__":
    run_stage("report", main, timed=False)
