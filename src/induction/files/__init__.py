"""Files and folders that are either whole or not there, and locks on them."""

from induction.files.folders import (
    MANIFEST,
    PATIENCE_VARIABLE,
    delete_unfinished,
    publish,
    published_folder,
    seal,
    verify_folder,
    workplace,
)
from induction.files.locks import (
    locked,
    seconds_from,
)
from induction.files.whole import (
    as_record,
    md5,
    read_json,
    read_record,
    sha256,
    size_text,
    whole_file,
    write_json,
    write_record,
    write_text,
)

__all__ = [
    "MANIFEST",
    "PATIENCE_VARIABLE",
    "as_record",
    "delete_unfinished",
    "locked",
    "md5",
    "publish",
    "published_folder",
    "read_json",
    "read_record",
    "seal",
    "seconds_from",
    "sha256",
    "size_text",
    "verify_folder",
    "whole_file",
    "workplace",
    "write_json",
    "write_record",
    "write_text",
]
