"""`python -m induction.compare A [B]`: what differs between two runs, as a page and a PDF."""

import os
import re
import sys

from induction.compare.comparison import Comparison
from induction.compare.glance import at_a_glance
from induction.compare.page import PAGE, PDF, render_page
from induction.compare.revisions import WORKSPACE, lay_out
from induction.errors import ends_in_one_line
from induction.paths import find_study
from induction.runs.run import load_run

USAGE = (
    "usage: make compare A=RUN [B=RUN], where RUN is a git revision, an experiment of `dvc exp "
    "show`, workspace (the files as they are, and what B is when it is left out), published or "
    "published:NAME"
)


def main(arguments: list[str]) -> int:
    """Compare and render. The exit status is 0, or 2 without runs to compare."""
    if not 1 <= len(arguments) <= 2 or any(not a or a.startswith("-") for a in arguments):
        print(USAGE, file=sys.stderr)
        return 2
    paths = find_study()
    a, b = (load_run(lay_out(paths, name)) for name in [*arguments, WORKSPACE][:2])
    comparison = Comparison(a, b)
    print(f"A: {a.label}\nB: {b.label}")
    for kind, sentence in at_a_glance(comparison).items():
        print(f"{kind}: {_plain(sentence)}")
    renderer = render_page(paths, comparison)
    place = os.path.relpath(paths.report_output / PAGE)
    print(f"rendered with {renderer}: {place}, {PDF} beside it")
    return 0


def _plain(markdown: str) -> str:
    return re.sub(r"\*\*|`|; see @[\w-]+", "", markdown).replace("\u00a0", " ")


if __name__ == "__main__":
    with ends_in_one_line("compare"):
        sys.exit(main(sys.argv[1:]))
