"""Bad text: the user's own files, the list of wheels, and wheels that nobody should trust."""

import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from generated import some
from hypothesis import given
from hypothesis import strategies as st
from refusals import ROOT, message_of, refusal
from ruamel.yaml import YAML

import induction.data.fetch as fetching
from induction.data.documents import collect_documents
from induction.data.fetch import read_requirements
from induction.data.own_text import why_no_text
from induction.errors import StudyError
from induction.files import published_folder
from induction.paths import StudyPaths
from induction.stages import fetch, prepare

DIGEST = "0" * 64
GENERATED = {"files": 40, "lists": 60, "wheels": 100}


def project(folder: Path, **corpus) -> Path:
    """An empty study of the user's own files in `own`, with the smoke preset's parameters."""
    root = folder / "study"
    (root / "own").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "dvc.yaml").touch()
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params" / "smoke.yaml")
    values["corpus"] |= {"wheels": False, "files": ["own/**/*.txt"], **corpus}
    yaml.dump(values, root / "params.yaml")
    return root


def huge_line(own: Path) -> None:
    with (own / "a.txt").open("wb") as file:
        file.write(b"x")
        file.truncate(400_000_000)


def pipe(own: Path) -> None:
    os.mkfifo(own / "a.txt")


def two_circles(own: Path) -> None:
    """Followed blindly, two of them make 2 to the power of 40 paths."""
    (own / "inner").mkdir()
    (own / "inner" / "one").symlink_to("..")
    (own / "inner" / "two").symlink_to(own)


OWN_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "binary": (lambda own: (own / "a.txt").write_bytes(bytes(range(256))), "not UTF-8 at byte 128"),
    "latin-1": (lambda own: (own / "a.txt").write_bytes(b"caf\xe9"), "not UTF-8 at byte 3"),
    "cut off": (lambda own: (own / "a.txt").write_bytes("é".encode()[:1]), "not UTF-8 at byte 0"),
    "overlong": (lambda own: (own / "a.txt").write_bytes(b"ab\xc0\xaf"), "not UTF-8 at byte 2"),
    "half characters": (lambda own: (own / "a.txt").write_bytes(b"\xed\xa0\x80"), "byte 0"),
    "UTF-16 cut off": (
        lambda own: (own / "a.txt").write_bytes(b"\xff\xfea"),
        "damaged UTF-16 at byte 2: export it as UTF-8",
    ),
    "zero bytes": (lambda own: (own / "a.txt").write_bytes(b"a\0b"), "it holds zero bytes"),
    "a picture": (lambda own: (own / "a.txt").write_bytes(b"\x89PNG\r\n\x1a\n"), "byte 0"),
    "all of several": (
        lambda own: [(own / f"{n}.txt").write_bytes(b"\xff") for n in range(3)],
        "-t UTF-8` (none of the 3 files of corpus.files is text)",
    ),
    "a line of 400 MB": (huge_line, "a.txt: 400,000,000 bytes: at most 300,000,000"),
    "nothing there": (lambda own: None, "matches no file"),
    "other names": (lambda own: (own / "a.md").write_text("x"), "matches no file"),
    "a folder": (lambda own: (own / "a.txt").mkdir(), "matches no file"),
    "a pipe": (pipe, "matches no file"),
    "an endless device": (lambda own: (own / "a.txt").symlink_to("/dev/zero"), "matches no file"),
    "a link to nothing": (lambda own: (own / "a.txt").symlink_to("nowhere"), "matches no file"),
    "a link to itself": (lambda own: (own / "a.txt").symlink_to("a.txt"), "matches no file"),
    "links in circles": (two_circles, "a link to a folder that it lies in"),
    "a name with a line break": (
        lambda own: (own / "a\nb.txt").write_bytes(b"\xff"),
        "a b.txt: not UTF-8",
    ),
    "a name that colours the terminal": (
        lambda own: (own / "a\x1b[31m.txt").write_bytes(b"\xff"),
        "not UTF-8",
    ),
    "a name that is no UTF-8": (
        lambda own: Path(os.fsdecode(bytes(own) + b"/\xff.txt")).write_bytes(b"\xff"),
        "not UTF-8 at byte 0",
    ),
}


@pytest.mark.parametrize(("make", "message"), OWN_FILES.values(), ids=OWN_FILES)
def test_own_files_that_cannot_be_used(make, message, tmp_path):
    root = project(tmp_path)
    make(root / "own")
    assert message in refusal(root, fetch.main)


GLOBS = {
    "no such folder": (["nowhere/*.txt"], "'nowhere/*.txt' matches no file"),
    "one of two": (["own/*.txt", "nowhere/*"], "'nowhere/*' matches no file"),
    "a folder": (["own"], "'own' is a folder: its files are own/**/*"),
    "above the study": (["../../nowhere/**/*.txt"], "matches no file"),
    "an open bracket": (["own/[.txt"], "matches no file"),
    "too many stars": (["own/" + "*/" * 200], "matches no file"),
    "a device": (["/dev/zero"], "matches no file"),
    "an endless file": (["/proc/kmsg"], "matches no file"),
    "a part of a path that is a file": (["own/a.txt/*"], "matches no file"),
    "a very long name": (["own/" + "x" * 400], "matches no file"),
}


@pytest.mark.parametrize(("files", "message"), GLOBS.values(), ids=GLOBS)
def test_globs_that_find_nothing_to_use(files, message, tmp_path):
    root = project(tmp_path, files=files)
    (root / "own" / "a.txt").write_text("good")
    if files == ["/proc/kmsg"] and Path("/proc/kmsg").is_file():
        pytest.skip("taken for an empty file, and not read")
    assert message in refusal(root, fetch.main)


def test_an_endless_file_of_size_zero_is_not_read(tmp_path, monkeypatch):
    root = project(tmp_path)
    (root / "own" / "a.txt").touch()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    fetching.copy_own_files(("own/*",), root, root / "copies")
    assert (root / "copies" / "000000-a.txt").stat().st_size == 0


def test_too_many_files_and_bytes_and_folders(tmp_path, monkeypatch):
    root = project(tmp_path)
    for number in range(20):
        (root / "own" / f"{number}.txt").write_text("x" * 100)
        (root / "own" / f"folder{number}").mkdir()
    monkeypatch.setattr(fetching, "_MAX_TOTAL_BYTES", 1999)
    assert "2,000 bytes in all: at most 1,999" in refusal(root, fetch.main)
    monkeypatch.setattr(fetching, "_MAX_FILES", 15)
    assert "looks into over 15 folders" in refusal(root, fetch.main)
    for number in range(20):
        (root / "own" / f"folder{number}").rmdir()
    assert "matches over 15 files" in refusal(root, fetch.main)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(2, "gone", "own/a.txt"), "own/a.txt: No such file or directory"),
        (PermissionError(13, "no", "own/a.txt"), "own/a.txt: Permission denied"),
        (OSError(5, "no", "own/a\nb.txt"), "own/a b.txt: Input/output error"),
        (OSError(28, "no"), "the disk: No space left on device"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_files_that_fail_while_they_are_read(error, message, tmp_path, monkeypatch):
    root = project(tmp_path)
    (root / "own" / "a.txt").write_text("good")

    def fail(path: Path) -> bytes:
        raise error

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert message in refusal(root, fetch.main)


def test_names_of_own_files_are_made_plain(tmp_path):
    root = project(tmp_path)
    for name in ("a\nb", "\x1b[31m", "x" * 240, "漢" * 80):
        (root / "own" / f"{name}.txt").write_text("good")
    Path(os.fsdecode(bytes(root / "own") + b"/\xff.txt")).write_text("good")
    fetching.copy_own_files(("own/*",), root, root / "copies")
    names = sorted(path.name for path in (root / "copies").iterdir())
    assert len(names) == 5
    assert all(name.isprintable() and len(name.encode()) < 255 for name in names)
    assert "000001-a_b.txt" in names


@some(GENERATED["files"])
@given(st.binary(max_size=200))
def test_generated_files_are_copied_or_refused(tmp_path_factory, content):
    root = project(tmp_path_factory.mktemp("own"))
    (root / "own" / "a.txt").write_bytes(content)
    message = message_of(lambda: fetching.copy_own_files(("own/*",), root, root / "copies"))
    if message:
        assert f"a.txt: {why_no_text(content)} (none of the 1 files" in message
    else:
        copied = (root / "copies" / "000000-a.txt").read_bytes()
        assert copied == content.replace("\ufeff".encode(), b"")


SOURCES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "lists no wheel"),
    "only comments": (b"# a\n\n  # b\n", "lists no wheel"),
    "no version": (b"flask\n", ":1: 'flask': expected NAME==VERSION"),
    "no hash": (b"flask==3.1.3\n", "expected NAME==VERSION"),
    "a range": (f"flask>=3 --hash=sha256:{DIGEST}\n".encode(), "expected NAME==VERSION"),
    "a star": (f"flask==3.* --hash=sha256:{DIGEST}\n".encode(), "expected NAME==VERSION"),
    "a short hash": (b"flask==3.1.3 --hash=sha256:00\n", "expected NAME==VERSION"),
    "another hash": (f"flask==3.1.3 --hash=md5:{DIGEST}\n".encode(), "expected NAME==VERSION"),
    "capital hash": (f"flask==3.1.3 --hash=sha256:{'A' * 64}\n".encode(), "expected NAME"),
    "two hashes": (
        f"flask==3.1.3 --hash=sha256:{DIGEST} --hash=sha256:{DIGEST}\n".encode(),
        "expected NAME==VERSION",
    ),
    "an option": (b"--index-url http://127.0.0.1\n", "expected NAME==VERSION"),
    "an option behind": (
        f"flask==3 --hash=sha256:{DIGEST} --global-option=x\n".encode(),
        "expected NAME==VERSION",
    ),
    "another file": (b"-r /etc/passwd\n", "expected NAME==VERSION"),
    "an address": (b"flask @ https://127.0.0.1/flask.whl\n", "expected NAME==VERSION"),
    "a path": (b"./evil.whl\n", "expected NAME==VERSION"),
    "a name that is an option": (f"-e==1 --hash=sha256:{DIGEST}\n".encode(), "expected NAME"),
    "a name with a path": (f"../a==1 --hash=sha256:{DIGEST}\n".encode(), "expected NAME"),
    "a name for a shell": (f"a;touch==1 --hash=sha256:{DIGEST}\n".encode(), "expected NAME"),
    "a name of other letters": (f"фласк==1 --hash=sha256:{DIGEST}\n".encode(), "expected NAME"),
    "a marker": (
        f'flask==3; python_version>"3" --hash=sha256:{DIGEST}\n'.encode(),
        "expected NAME==VERSION",
    ),
    "a continued line": (f"flask==3 \\\n --hash=sha256:{DIGEST}\n".encode(), "expected NAME"),
    "the same twice": (
        f"a-b==1 --hash=sha256:{DIGEST}\nA_B==2 --hash=sha256:{DIGEST}\n".encode(),
        ":2: A_B already stands at ",
    ),
    "latin-1": (b"# caf\xe9\n", "not UTF-8 at byte 5"),
    "binary": (b"\x7fELF\x00\xff", "not UTF-8"),
    "zeros": (bytes(100), "expected NAME==VERSION"),
    "UTF-16": ("flask==3".encode("utf-16"), "not UTF-8"),
    "too long": (b"#" * 1_000_001, "1,000,001 bytes"),
    "a terminal's control characters": (b"\x1b[31mflask\n", "expected NAME==VERSION"),
}


@pytest.mark.parametrize(("content", "message"), SOURCES.values(), ids=SOURCES)
def test_lists_of_wheels_that_are_none(content, message, tmp_path):
    root = project(tmp_path, wheels=True, files=[])
    (root / "data" / "sources.txt").write_bytes(content)
    line = refusal(root, fetch.main)
    assert "sources.txt" in line
    assert message in line


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "endless device"])
def test_lists_of_wheels_that_cannot_be_read(kind, tmp_path):
    root = project(tmp_path, wheels=True, files=[])
    path = root / "data" / "sources.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless device":
        path.symlink_to("/dev/zero")
    assert "sources.txt: missing" in refusal(root, fetch.main)


@some(GENERATED["lists"])
@given(st.text(max_size=200))
def test_generated_lists_are_refused(tmp_path, text):
    path = tmp_path / "sources.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    message = message_of(lambda: read_requirements(path))
    assert message
    assert "sources.txt" in message


TEXT = "".join(f"def number_{n}(values):\n    return values * {n}\n\n" for n in range(30)).encode()


def member(name: str = "a.py", mode: int = stat.S_IFREG | 0o644, **fields: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def wheel(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    """A zip file with these members after one good one."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        archive.writestr(member("good.py"), TEXT)
        for info, content in members:
            archive.writestr(info, content)
    return buffer.getvalue()


def patched(content: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """Bytes put over the last record with a signature, as no writer would do."""
    start = content.rindex(signature) + offset
    return content[:start] + value + content[start + len(value) :]


CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
TWO = wheel((member(), TEXT * 3))
SHORT = wheel((member(), b"short"))
ENCRYPTED = patched(patched(TWO, CENTRAL, 8, b"\x01"), LOCAL, 6, b"\x01")
NESTED = wheel((member("inner.zip"), wheel((member("deep.py"), bytes(10_000_000)))))
WHEELS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a readable zip file"),
    "a text": (b"a page that says no", "not a readable zip file"),
    "a program": (b"\x7fELF" + bytes(1000), "not a readable zip file"),
    "a gzip": (b"\x1f\x8b\x08" + bytes(100), "not a readable zip file"),
    "cut off at the end": (TWO[:-30], "not a readable zip file"),
    "cut off in the middle": (TWO[: len(TWO) // 2], "not a readable zip file"),
    "cut off at the front": (TWO[100:], "not a readable zip file"),
    "only an end": (TWO[-22:], "not a readable zip file"),
    "a path above": (wheel((member("../evil.py"), TEXT)), "lies outside the wheel"),
    "a path far above": (wheel((member("a/../../../evil.py"), TEXT)), "lies outside the wheel"),
    "a path from the root": (wheel((member("/etc/evil.py"), TEXT)), "lies outside the wheel"),
    "a path above with backslashes": (
        wheel((member("..\\evil.py"), TEXT)),
        "lies outside the wheel",
    ),
    "data from the root": (wheel((member("/etc/passwd"), b"x")), "lies outside the wheel"),
    "a link": (wheel((member("a.py", stat.S_IFLNK | 0o777), b"/etc/passwd")), "is a link"),
    "a link to a folder": (wheel((member("a", stat.S_IFLNK | 0o777), b"/etc")), "is a link"),
    "encrypted": (ENCRYPTED, "is encrypted"),
    "a name twice": (wheel((member(), TEXT), (member(), b"x")), "stands there twice"),
    "bzip2": (
        wheel((member(compress_type=zipfile.ZIP_BZIP2), bytes(10_000_000))),
        "compressed by method 12",
    ),
    "lzma": (
        wheel((member(compress_type=zipfile.ZIP_LZMA), bytes(10_000_000))),
        "compressed by method 14",
    ),
    "an unknown method": (
        patched(patched(TWO, CENTRAL, 10, b"\x63"), LOCAL, 8, b"\x63"),
        "compressed by method 99",
    ),
    "a wrong checksum": (patched(TWO, CENTRAL, 16, b"\xff\xff\xff\xff"), "Bad CRC-32"),
    "changed text": (TWO.replace(b"number_7", b"number_8"), "Bad CRC-32"),
    "another name inside": (patched(TWO, LOCAL, 30, b"b"), "not a readable zip file"),
    "no local record": (patched(TWO, LOCAL, 0, b"XXXX"), "not a readable zip file"),
    "a member before the file": (
        patched(TWO, CENTRAL, 42, struct.pack("<I", 0xFFFFFF)),
        "not a readable zip file",
    ),
    "2 GB said, few there": (
        patched(patched(SHORT, CENTRAL, 24, b"\0\0\0\x80"), LOCAL, 22, b"\0\0\0\x80"),
        "data/raw: 1 of its documents are kept",
    ),
    "a larger list said": (patched(TWO, END, 12, b"\xff\xff\xff\x7f"), "not a readable zip file"),
    "a list elsewhere": (patched(TWO, END, 16, b"\xff\xff\xff\x7f"), "not a readable zip file"),
    "a name of no UTF-8": (
        patched(patched(TWO, CENTRAL, 8, b"\x00\x08"), CENTRAL, 46, b"\xff"),
        "not a readable zip file",
    ),
    "damaged compression": (
        patched(wheel((member(compress_type=zipfile.ZIP_DEFLATED), TEXT)), LOCAL, 34, b"\xff" * 40),
        "not a readable zip file",
    ),
    "a wheel in a wheel": (NESTED, "data/raw: 1 of its documents are kept"),
    "no Python in it": (wheel((member("a.txt"), TEXT)), "data/raw: 1 of its documents are kept"),
    "one large member": (
        wheel((member(compress_type=zipfile.ZIP_DEFLATED), bytes(300_000_000))),
        "data/raw: 1 of its documents are kept",
    ),
    "too many members": (
        wheel(*[(member(f"{n}.py"), b"") for n in range(20_001)]),
        "20,002 members, at most 20,000",
    ),
}


def with_raw(folder: Path, content: bytes) -> Path:
    """A study whose data/raw, with a true manifest, holds one wheel of these bytes."""
    root = project(folder)
    paths = StudyPaths(root)
    with published_folder(paths.raw, paths.scratch) as raw:
        (raw / "wheels").mkdir()
        (raw / "wheels" / "p.whl").write_bytes(content)
    return root


@pytest.mark.parametrize(("content", "message"), WHEELS.values(), ids=WHEELS)
def test_wheels_that_nobody_should_trust(content, message, tmp_path):
    root = with_raw(tmp_path, content)
    line = refusal(root, prepare.main)
    assert message in line
    assert "data/raw" in line
    assert not (root / "data" / "tokens").exists()


def test_a_wheel_too_large_is_not_opened(tmp_path):
    root = with_raw(tmp_path, b"")
    path = root / "data" / "raw" / "wheels" / "p.whl"
    with path.open("r+b") as file:
        file.truncate(50_000_001)
    with pytest.raises(StudyError, match="50,000,001 bytes: at most 50,000,000"):
        collect_documents(root / "data" / "raw", 1, 100)


def test_what_unpacks_to_too_much_is_stopped_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("induction.data.documents._MAX_TOTAL_BYTES", 20_000_000)
    bomb = [
        (member(f"{n}.py", compress_type=zipfile.ZIP_DEFLATED), bytes(1_900_000)) for n in range(50)
    ]
    root = with_raw(tmp_path, wheel(*bomb))
    assert "unpack to over" in refusal(root, prepare.main)


@some(GENERATED["wheels"])
@given(st.data())
def test_generated_damage_to_a_wheel_is_read_or_refused(tmp_path, data):
    content = bytearray(TWO)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "wheels").mkdir(exist_ok=True)
    (tmp_path / "wheels" / "p.whl").write_bytes(bytes(content))
    message = message_of(lambda: collect_documents(tmp_path, 1, 100))
    assert message is None or "p.whl: " in message
