"""External models on a model hub: what a revision consists of, its files, and what can go wrong.

Downloads are kept by commit, each file once it is whole.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def list_hub(repository: str, revision: str) -> tuple[str, dict[str, tuple[int, str | None]]]:
    """The commit of a revision, and name → size and SHA-256 of its files (None for small ones).

    Raises StudyError as `explained` does.
    """
    with explained(repository, revision):
        found = HfApi().model_info(repository, revision=revision, files_metadata=True)
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
                hf_hub_download(
                    repository, name, revision=commit, cache_dir=cache, force_download=again
                )
            )
            for name in names
        ]
    return paths[0].parent


def delete(cache: Path, commit: str) -> None:
    """Delete a commit's files, but for those that another commit shares."""
    scan_cache_dir(cache).delete_revisions(commit).execute()


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
            f"{where}: the model hub cannot be reached: go online (HF_HUB_OFFLINE unset), or give "
            "a local folder as its source"
        ) from None
    except (OSError, RuntimeError) as error:  # hf_xet raises nothing narrower
        if isinstance(error, OSError) and error.errno:
            raise  # of this machine's disk
        raise StudyError(f"{where}: the download failed: {error}: run it again") from None
