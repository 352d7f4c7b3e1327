"""`python -m induction.external.list SOURCE`: revisions of a model as YAML to paste.

Steps are read off the names of a repository's branches and tags, or of a folder's folders.
"""

import argparse
import math
import re
from pathlib import Path

from induction.errors import StudyError, ends_in_one_line
from induction.external.hub import list_names
from induction.external.revisions import check_source

_NUMBER = r"(\d[\d_]*(?:\.\d+(?=[km]))?)(k|m)?"
# A word for steps with a number, or a number alone: seeds, stages and versions have numbers too.
_NAMED = re.compile(
    rf"(?:^|[^a-z])(?:global_?step|steps?|checkpoint|ckpt|iter(?:ation)?|it)s?[-_=.]?{_NUMBER}"
    r"(?![a-z\d]|[.,]\d)",
    re.IGNORECASE,
)
_BARE = re.compile(rf"^(?:.*/)?{_NUMBER}$", re.IGNORECASE)
_SCALE = {"": 1, "k": 1000, "m": 1_000_000}


def step_of(name: str) -> int | None:
    """The training step that a revision's name says; None where it says none."""
    found = _NAMED.search(name) or _BARE.match(name)
    if not found:
        return None
    return round(float(found[1].replace("_", "")) * _SCALE[(found[2] or "").lower()])


def thinned(steps: dict[str, int], most: int) -> dict[str, int]:
    """At most so many of the revisions, evenly over ln(step + 1), first and last included."""
    ordered = sorted(steps.items(), key=lambda pair: pair[1])
    if most >= len(ordered):
        return dict(ordered)
    place = [math.log1p(step) for _, step in ordered]
    if most == 1:
        return dict(ordered[-1:])
    wanted = [place[0] + (place[-1] - place[0]) * k / (most - 1) for k in range(most)]
    nearest = {min(range(len(place)), key=lambda at: abs(place[at] - want)) for want in wanted}
    return dict(ordered[at] for at in sorted(nearest))


def as_yaml(names: list[str], most: int) -> str:
    """The key `revisions`, in order of training; as comments, what cannot be one and why."""
    steps: dict[str, int] = {}
    comments = []
    for name in names:
        step = step_of(name)
        if step is None:
            comments.append(f"# {name}: its name says no step")
        elif step in steps.values():
            first = next(each for each, other in steps.items() if other == step)
            comments.append(f"# {name}: step {step} is that of {first} too")
        else:
            steps[name] = step
    kept = thinned(steps, most)
    lines = [f"  {_key(name)}: {step}" for name, step in kept.items()]
    if len(kept) < len(steps):
        comments.append(f"# {len(steps) - len(kept)} more lie between these")
    return "\n".join(["revisions:" if lines else "revisions: {}", *lines, *comments])


def _key(name: str) -> str:
    """A name that YAML takes for nothing else."""
    return name if re.fullmatch(r"[A-Za-z][\w./-]*", name) else f'"{name}"'


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m induction.external.list", description="Revisions of a model, to paste."
    )
    parser.add_argument("source", help="a folder, or a repository of a model hub (owner/name)")
    parser.add_argument(
        "--most", type=int, default=10**5, help="at most so many, evenly over ln(step)"
    )
    options = parser.parse_args()
    folder = Path(options.source)
    with ends_in_one_line("list"):
        check_source(folder, options.source)
        if options.most < 1:
            raise StudyError(f"--most: {options.most}: expected 1 or more")
        names = (
            sorted(path.name for path in folder.iterdir() if path.is_dir())
            if folder.is_dir()
            else list_names(options.source)
        )
        print(as_yaml(names, options.most))


if __name__ == "__main__":
    main()
