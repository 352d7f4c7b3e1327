"""Remote storage of DVC: what is pushed comes back the same, and what is damaged is refused.

A folder everywhere; S3 where dvc-s3 and moto's server are installed (`make test-extras`).
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any, Protocol

import pytest

FILES = {"one.txt": b"one\n", "two.bin": bytes(range(256)) * 64, "inner/three.csv": b"a,b\n1,2\n"}
SECRET = "not-a-real-secret"
# Settings of whoever runs the tests, that DVC, git or the S3 client would take up.
_PERSONAL = re.compile("^(AWS|DVC|GIT|XDG)_|proxy$", re.IGNORECASE)


class Storage(Protocol):
    """A place that DVC pushes to; objects are named by their path below it."""

    url: str
    local_settings: dict[str, str]

    def names(self) -> set[str]: ...
    def write(self, name: str, content: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path):
        self.path, self.url = path, str(path)
        self.local_settings = {}

    def names(self) -> set[str]:
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix() for path in files}

    def write(self, name: str, content: bytes) -> None:
        self.remove(name)
        (self.path / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()


class Bucket:
    """A prefix in a bucket of an S3 server."""

    def __init__(self, client: Any, endpoint: str, bucket: str, prefix: str):
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.url = f"s3://{bucket}/{prefix}"
        self.local_settings = {
            "endpointurl": endpoint,
            "region": "us-east-1",
            "access_key_id": "study",
            "secret_access_key": SECRET,
        }

    def names(self) -> set[str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return {item["Key"].removeprefix(f"{self.prefix}/") for item in listed["Contents"]}

    def write(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")


class Checkout:
    """A git checkout with a DVC repository, alone with its own caches and configuration."""

    def __init__(self, root: Path):
        self.root = root
        self.environment = {
            **{name: value for name, value in os.environ.items() if not _PERSONAL.search(name)},
            "HOME": str(root.parent),
            "DVC_NO_ANALYTICS": "true",
            "DVC_SITE_CACHE_DIR": str(root.with_name(f"{root.name}-site")),
            "AWS_EC2_METADATA_DISABLED": "true",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Test"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "test@example.org"),
        }

    def run(self, *command: str, status: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        output = done.stdout + done.stderr
        assert done.returncode == status, output
        return output

    def dvc(self, *arguments: str, status: int = 0) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, status=status)

    def configure(self, settings: dict[str, str], file: str = "config.local") -> None:
        """Write settings of the storage; what belongs to one person is never committed."""
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        (self.root / ".dvc" / file).write_text("".join(["['remote \"storage\"']\n", *lines]))

    def clone(self, name: str, storage: Storage) -> "Checkout":
        other = Checkout(self.root.with_name(name))
        self.run("git", "clone", "--quiet", str(self.root), str(other.root))
        other.configure(storage.local_settings)
        return other

    def data(self) -> dict[str, bytes]:
        folder = self.root / "data"
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of an S3 server of this machine."""
    reason = "S3 needs dvc-s3 and moto's server: make test-extras"
    pytest.importorskip("dvc_s3", reason=reason)
    module = pytest.importorskip("moto.server", reason=reason)
    server = module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Folder(tmp_path / "storage")
    endpoint = request.getfixturevalue("server")
    client = pytest.importorskip("boto3").client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="study",
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket="study")
    return Bucket(client, endpoint, "study", tmp_path.name)


@pytest.fixture
def pushed(storage: Storage, tmp_path: Path) -> Checkout:
    """A repository whose data lie in the storage as well."""
    checkout = Checkout(tmp_path / "first")
    for name, content in FILES.items():
        path = checkout.root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    checkout.run("git", "init", "--quiet")
    checkout.dvc("init", "--quiet")
    checkout.dvc("add", "--quiet", "data")
    checkout.configure({"url": storage.url, "verify": "true"}, "config")
    checkout.dvc("remote", "default", "storage")
    checkout.configure(storage.local_settings)
    checkout.run("git", "add", "--all")
    checkout.run("git", "commit", "--quiet", "--message", "data")
    assert "4 files pushed" in checkout.dvc("push")  # and the listing of the folder
    return checkout


def object_of(content: bytes) -> str:
    digest = md5(content, usedforsecurity=False).hexdigest()
    return f"files/md5/{digest[:2]}/{digest[2:]}"


def test_a_clone_pulls_the_bytes_that_were_pushed(pushed: Checkout, storage: Storage):
    assert {object_of(content) for content in FILES.values()} < storage.names()
    pushed.run("git", "grep", "--quiet", SECRET, status=1)  # it stands in config.local alone
    assert pushed.run("git", "status", "--porcelain") == ""
    clone = pushed.clone("second", storage)
    assert clone.data() == {}
    clone.dvc("pull")
    assert clone.data() == FILES
    assert "up to date" in clone.dvc("status")
    assert "in sync" in clone.dvc("status", "--cloud")


def test_a_damaged_object_is_not_checked_out(pushed: Checkout, storage: Storage):
    storage.write(object_of(FILES["one.txt"]), b"two\n")
    clone = pushed.clone("second", storage)
    assert "Checkout failed" in clone.dvc("pull", status=1)
    assert clone.data() == {}
    cached = (path for path in (clone.root / ".dvc/cache").rglob("*") if path.is_file())
    assert b"two\n" not in {path.read_bytes() for path in cached}


def test_a_missing_object_is_named_and_comes_back_with_a_push(pushed: Checkout, storage: Storage):
    missing = object_of(FILES["one.txt"])
    storage.remove(missing)
    clone = pushed.clone("second", storage)
    output = clone.dvc("pull", status=1)
    assert missing.removeprefix("files/md5/").replace("/", "") in output
    assert clone.data() == {}

    for listing in [name for name in storage.names() if name.endswith(".dir")]:
        storage.remove(listing)  # DVC takes for whole what has a listing there
    pushed.dvc("push")
    clone.dvc("pull")
    assert clone.data() == FILES
