"""`python -m induction.runner.dvc` is `dvc`, but quick to write what it recorded.

To write a stage into dvc.lock, DVC reads the whole file by the reader that keeps comments, which is
in pure Python: 2.5 seconds for the laptop study's, in which no other stage can begin or end. The
file holds none, so the reader and the writer in C do. They give the same bytes for what a study has
there, and the same content always.
"""

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import dvc.dvcfile
import dvc.lock
from dvc.cli import main
from dvc.utils.serialize import modify_yaml
from dvc.utils.serialize._common import _modify_data
from dvc.utils.serialize._yaml import parse_yaml
from ruamel.yaml import YAML


@contextmanager
def modify(path: str | os.PathLike[str], fs: Any = None) -> Iterator[dict[str, Any]]:
    """As DVC's `modify_yaml`: yield a file's content, and write what became of it."""
    if os.path.basename(path) == dvc.dvcfile.LOCK_FILE:
        with _modify_data(path, parse_yaml, _dump, fs=fs) as content:
            yield content
    else:
        with modify_yaml(path, fs=fs) as content:
            yield content


def _dump(data: Any, stream: TextIO) -> None:
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    yaml.Representer.add_representer(OrderedDict, yaml.Representer.represent_dict)
    yaml.dump(data, stream)


if __name__ == "__main__":
    dvc.dvcfile.modify_yaml = modify
    dvc.lock.DEFAULT_TIMEOUT = (
        0.6  # who waits for DVC's lock asks every tenth of a second, not half
    )
    sys.exit(main())
