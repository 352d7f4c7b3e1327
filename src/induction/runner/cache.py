"""Objects of DVC's cache that are not what their name says.

DVC trusts a cached file that is write-protected, and hands it out again when a stage's output is
missing. A file of the workspace may share its disk blocks with the cache (hard links), so what
damages one damages the other. Such objects are deleted before stages run: DVC then makes them anew.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def delete_damaged(cache: Path) -> list[str]:
    """Delete the objects whose MD5 is not their name; returns those names.

    cache: the folder with 256 folders of objects. No dvc command may be writing to it.
    """
    objects = sorted(path for path in cache.glob("[0-9a-f][0-9a-f]/*") if path.is_file())
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves the interpreter free
        digests = pool.map(_md5, objects)
        damaged = [
            path
            for path, digest in zip(objects, digests, strict=True)
            if path.parent.name + path.name.removesuffix(".dir") != digest
        ]
    for path in damaged:
        path.unlink()
    return [path.parent.name + path.name for path in damaged]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
