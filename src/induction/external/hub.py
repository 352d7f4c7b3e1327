"""External models on a model hub: what a revision consists of, its files, and what can go wrong.

Downloads are kept by commit, each file once it is whole. A hub that is busy, limits its answers or
breaks off is asked again, after a wait that is told.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import TypeVar

from huggingface_hub import HfApi, hf_hub_download, scan_cache_dir, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars

from induction.errors import StudyError

_BUSY = (408, 429, 500, 502, 503, 504)
_TRIES = 5
_LONGEST_WAIT = 600  # seconds; a hub that asks for more is given up

Answer = TypeVar("Answer")


def list_hub(repository: str, revision: str) -> tuple[str, dict[str, tuple[int, str | None]]]:
    """The commit of a revision, and name → size and SHA-256 of its files (None for small ones).

    Raises StudyError as `explained` does.
    """
    with explained(repository, revision):
        found = _patiently(
            lambda: HfApi().model_info(repository, revision=revision, files_metadata=True)
        )
    files = {
        file.rfilename: (file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in found.siblings or []
    }
    if found.sha is None:
        raise StudyError(f"{repository}, revision {revision}: the hub names no commit for it")
    return found.sha, files


def is_here(cache: Path, repository: str, commit: str, name: str) -> bool:
    """Whether a file has been downloaded."""
    found = try_to_load_from_cache(repository, name, cache_dir=cache, revision=commit)
    return isinstance(found, str)


def download(
    cache: Path, repository: str, commit: str, names: list[str], *, again: bool = False
) -> Path:
    """The folder with a commit's files, of which those that are not there yet are fetched.

    again: fetch those that are there too. Raises StudyError as `explained` does.
    """
    if not sys.stderr.isatty():
        disable_progress_bars()
    with explained(repository, commit):
        paths = [
            Path(
                _patiently(
                    lambda name=name: hf_hub_download(
                        repository, name, revision=commit, cache_dir=cache, force_download=again
                    )
                )
            )
            for name in names
        ]
    return paths[0].parent


def delete(cache: Path, commit: str) -> None:
    """Delete a commit's files, but for those that another commit shares."""
    scan_cache_dir(cache).delete_revisions(commit).execute()


def list_names(repository: str) -> list[str]:
    """The branches and tags of a repository. Raises StudyError as `explained` does."""
    with explained(repository, "main"):
        refs = _patiently(lambda: HfApi().list_repo_refs(repository))
    return [ref.name for ref in (*refs.branches, *refs.tags)]


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask a hub, and again where it is busy or the connection is cut, at most five times."""
    for attempt in range(1, _TRIES):
        try:
            return ask()
        except (HTTPError, LocalEntryNotFoundError, ValueError) as error:
            cause = _cause(error)
            why, wait = _trouble(cause, attempt)
            if wait is None or wait > _LONGEST_WAIT:
                raise cause from None
        print(f"the model hub {why}: asking again in {wait:.0f} s", flush=True)
        sleep(wait)
    try:
        return ask()
    except (HTTPError, LocalEntryNotFoundError, ValueError) as error:
        raise _cause(error) from None


def _cause(error: Exception) -> Exception:
    """What kept the client from the hub, which it wraps into errors about files."""
    return error.__cause__ if isinstance(error.__cause__, HTTPError) else error


def _trouble(error: Exception, attempt: int) -> tuple[str, float | None]:
    """What is wrong and how many seconds to wait; None where waiting does not help."""
    if not isinstance(error, HTTPError):
        return "", None
    if not isinstance(error, HfHubHTTPError):
        return "cannot be reached", 2.0**attempt
    status = error.response.status_code
    if status not in _BUSY:
        return "", None
    asked = error.response.headers.get("Retry-After", "")
    return f"answers with status {status}", float(asked) if asked.isdecimal() else 5 * 2.0**attempt


@contextmanager
def explained(repository: str, revision: str) -> Iterator[None]:
    """What a hub's client raises, as a StudyError that tells the way out in one line."""
    where = f"{repository}, revision {revision}"
    try:
        yield
    except GatedRepoError:
        raise StudyError(
            f"{repository}: gated: accept its conditions on its page, then log in: `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise StudyError(f"{repository}: no such repository, or a private one") from None
    except RevisionNotFoundError:
        raise StudyError(f"{where}: no such revision: its page lists the branches") from None
    except HFValidationError:
        raise StudyError(f"{repository}: not the name of a repository: owner/name") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise StudyError(f"{where}: the hub answers with status {status}: try later") from None
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, HTTPError, ConnectionError):
        raise StudyError(
            f"{where}: no such folder here, and the model hub cannot be reached: go online "
            "(HF_HUB_OFFLINE unset), or give a local folder as its source"
        ) from None
    except (OSError, RuntimeError) as error:  # hf_xet raises nothing narrower
        if isinstance(error, OSError) and error.errno:
            raise  # of this machine's disk
        raise StudyError(f"{where}: the download failed: {error}: run it again") from None
