"""`python -m induction.crate`: this run as an RO-Crate, which archives and indexes can read.

The crate holds the code, the parameters and every output that is a single file. Folders of data
(wheels, tokens, snapshots, measurements) are too large for it: it names them by the digests under
which DVC's storage has them. What `dvc.lock` says is checked against the files before it is told.
"""

import email
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field
from rocrate.model.contextentity import ContextEntity
from rocrate.model.dataset import Dataset
from rocrate.model.entity import Entity
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from induction.config import StudyConfig
from induction.config.plain_yaml import read_yaml
from induction.data.wheels import wheel_members
from induction.errors import StudyError, one_line
from induction.files import MANIFEST, as_record, md5, published_folder, read_json, verify_folder
from induction.fingerprint import for_model, lookup
from induction.paths import StudyPaths
from induction.runs.dvc_lock import RESTORE, Entry, Stage, load_stages
from induction.runs.parameters import ABSENT, flatten, same, value_text
from induction.stages import run_stage

_VERSION = "1.1"  # of RO-Crate, the one that the profile of runs builds on
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_VOCABULARY = "workflow-run"  # of that profile
_CODE = ["File", "SoftwareSourceCode", "SoftwareApplication"]
_LONGEST_LICENCE = 60  # characters; some packages put the whole text there
_OF_THIS_MACHINE = re.compile(r'"((?:/|~|file:|(?:[^"]*/)?\.\./)[^"]*)"')  # a path, in JSON
_WAY_OUT = "run `make study`, or `dvc pull` what others have"


class Citation(BaseModel):
    """What the crate takes from CITATION.cff."""

    title: str
    license: str
    released: date = Field(alias="date-released")
    authors: list[dict[str, str]]


def main(paths: StudyPaths, _config: StudyConfig) -> None:
    """Write the crate of a checkout's last run into `paths.crate`, whole or not at all.

    Raises StudyError when a stage has not run, when a file is missing or is not the one that DVC
    recorded, when parameters have changed since, and when paths of this machine would go into it.
    """
    about, stages, citation = _about(paths), _stages(paths), _citation(paths.citation)
    if missing := [name for name in about if name not in stages]:
        count = f"{len(missing)} of {len(about)} stages have not run, the first is {missing[0]}"
        raise StudyError(f"{paths.stages_lock}: {count}: {_WAY_OUT}")
    ran = {name: stages[name] for name in about}
    _check(paths, ran)
    crate = _describe(paths, ran, about, citation)
    with published_folder(paths.crate, paths.scratch) as folder:
        crate.write(folder)
    print(f"{paths.crate.relative_to(paths.root)}: {len(ran)} stages, with what they read and made")


def _about(paths: StudyPaths) -> dict[str, str]:
    """The stages that the parameters at hand ask for, each with its description."""
    found: dict[str, str] = {}
    params = read_yaml(paths.params)
    for name, stage in read_yaml(paths.pipeline)["stages"].items():
        if "foreach" not in stage:
            found[name] = stage.get("desc", name)
            continue
        for model in lookup(params, stage["foreach"].strip("${}")):
            found[f"{name}@{model}"] = for_model(stage["do"], model).get("desc", name)
    return found


def _stages(paths: StudyPaths) -> dict[str, Stage]:
    path = paths.stages_lock
    if not path.is_file():
        raise StudyError(f"{path}: missing, so no stage has run here: {_WAY_OUT}")
    return load_stages(paths)


def _citation(path: Path) -> Citation:
    return as_record(path, Citation, read_yaml(path), RESTORE)


def _check(paths: StudyPaths, stages: Mapping[str, Stage]) -> None:
    """StudyError for what is not as DVC recorded it, and for paths of this machine."""
    present = flatten(read_yaml(paths.params))
    seen: dict[str, tuple[str, int]] = {}
    for name, stage in stages.items():
        if place := _OF_THIS_MACHINE.search(stage.model_dump_json()):
            raise StudyError(
                f"{paths.stages_lock}: {name}: {place[1]}: a path of this machine, which a crate "
                "must not tell: put the files below data/own, give a relative path, `make study`"
            )
        for key, value in flatten(stage.parameters).items():
            if not same(present.get(key, ABSENT), value):
                raise StudyError(f"{paths.params}: {key}: changed since {name} ran: {_WAY_OUT}")
        for entry in (*stage.deps, *stage.outs):
            path = paths.root / entry.path
            if not path.exists():
                raise StudyError(f"{path}: missing, though {name} has run: {_WAY_OUT}")
            if entry.path not in seen:
                seen[entry.path] = _digest(path)
            if seen[entry.path] != (entry.md5, entry.size):
                raise StudyError(f"{path}: changed since {name} ran: {_WAY_OUT}")


def _digest(path: Path) -> tuple[str, int]:
    """MD5 and bytes of a file or folder, as DVC counts them (.dvcignore leaves out __pycache__)."""
    if path.is_file():
        return md5(path), path.stat().st_size
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    found = {name: _digest(files[name]) for name in sorted(files) if "__pycache__" not in name}
    listing = [{"md5": digest, "relpath": name} for name, (digest, _) in found.items()]
    whole = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False)
    return f"{whole.hexdigest()}.dir", sum(size for _, size in found.values())


def _describe(
    paths: StudyPaths, stages: Mapping[str, Stage], about: Mapping[str, str], citation: Citation
) -> ROCrate:
    """The crate of stages that are as recorded. Raises StudyError for a damaged data/raw."""
    crate = ROCrate(version=_VERSION, exclude=["__pycache__"])
    terms = f"https://w3id.org/ro/terms/{_VOCABULARY}#"
    crate.metadata.extra_terms.update({name: f"{terms}{name}" for name in ("md5", "sha256")})
    root = crate.root_dataset
    authors = [_author(crate, author) for author in citation.authors]
    root["name"], root["author"] = citation.title, authors
    root["description"] = "One run of the study: code, parameters, results, and what made which."
    root["datePublished"] = citation.released.isoformat()
    root["license"] = _licence(crate, citation.license, "https://spdx.org/licenses/")
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    root["conformsTo"] = _tell(crate, _PROFILE, profile)
    entities: dict[str, Entity] = {}
    for path in (paths.pipeline, paths.stages_lock, paths.params, paths.lock, paths.citation):
        kind = {"@type": _CODE} if path == paths.pipeline else {}
        file = File(crate, path, path.name, properties={"name": path.name, **kind})
        entities[path.name] = file
        crate.add(file)
    for name, stage in stages.items():
        for entry in (*stage.deps, *stage.outs):
            if entry.path not in entities:
                entities[entry.path] = _entity(crate, paths.root, entry)
        description = about[name] + _made_with(paths, stage)
        told = {"@type": "CreateAction", "name": name, "description": description}
        action = _tell(crate, f"#stage/{name}", told)
        data = [entities[entry.path] for entry in stage.deps if not entry.is_code]
        action["object"] = data + [
            _tell(
                crate,
                f"#parameter/{name}/{quote(key)}",
                {"@type": "PropertyValue", "name": key, "value": value_text(value)},
            )
            for key, value in stage.parameters.items()
        ]
        action["instrument"] = _instrument(entities, stage)
        action["result"] = [entities[entry.path] for entry in stage.outs]
        action["agent"] = authors
        root.append_to("mentions", action)
    if raw := entities.get(paths.raw.relative_to(paths.root).as_posix()):
        raw["hasPart"] = _sources(crate, paths)
    return crate


def _tell(crate: ROCrate, name: str, told: Mapping[str, Any]) -> Entity:
    """What stands in the crate's description alone."""
    entity = ContextEntity(crate, name, properties=dict(told))
    crate.add(entity)
    return entity


def _entity(crate: ROCrate, root: Path, entry: Entry) -> Entity:
    """A file or a folder of code, which goes into the crate; a folder of data, which does not."""
    told: dict[str, Any] = {"name": entry.path, "md5": entry.md5, "contentSize": str(entry.size)}
    if entry.nfiles is not None and not entry.is_code:
        told["description"] = f"{entry.nfiles} files, which DVC's storage has under this md5"
        return _tell(crate, f"#{quote(entry.path)}", {"@type": "Dataset", **told})
    if entry.is_code and entry.nfiles is None:
        told["@type"] = _CODE
    kind = File if entry.nfiles is None else Dataset
    entity = kind(crate, root / entry.path, entry.path, properties=told)
    crate.add(entity)
    return entity


def _instrument(entities: Mapping[str, Entity], stage: Stage) -> Entity:
    """The file that a stage runs, with the code that it uses; dvc.yaml for other commands."""
    module = re.search(r"-m (induction[\w.]*)", stage.cmd)
    path = f"src/{module[1].replace('.', '/')}.py" if module else ""
    instrument = entities.get(path, entities["dvc.yaml"])
    used = instrument.get("softwareRequirements", [])
    code = [entities[entry.path] for entry in stage.deps if entry.is_code and entry.path != path]
    if new := [entity for entity in code if entity not in used]:
        instrument.append_to("softwareRequirements", new)
    return instrument


def _made_with(paths: StudyPaths, stage: Stage) -> str:
    """The environment that the manifests of a stage's outputs tell of, as words."""
    for entry in stage.outs:
        path = paths.root / entry.path / MANIFEST
        if path.is_file() and (made := read_json(path).get("environment")):
            return "; made with " + ", ".join(f"{key} {made[key]}" for key in sorted(made))
    return ""


def _sources(crate: ROCrate, paths: StudyPaths) -> list[Entity]:
    """What data/raw holds: digest and bytes of each file, and the licence that a wheel states."""
    verify_folder(paths.raw)
    found = []
    for file in read_json(paths.raw / MANIFEST)["files"]:
        path = paths.raw / file["name"]
        told = {"@type": "File", "name": file["name"], "sha256": file["sha256"]}
        told["contentSize"] = str(file["bytes"])
        entity = _tell(crate, f"#{quote(path.relative_to(paths.root).as_posix())}", told)
        if path.suffix == ".whl":
            entity["license"] = _licence(crate, stated_licence(path))
        found.append(entity)
    return found


def stated_licence(wheel: Path) -> str:
    """The licence that a wheel's metadata states, in its own words: an SPDX expression, else a
    short text, else a classifier. StudyError for a wheel that cannot be read."""
    for _, content in wheel_members(wheel, lambda name: name.endswith(".dist-info/METADATA")):
        fields = email.message_from_bytes(content)
        kinds = map(str, fields.get_all("Classifier", []))
        stated = [fields["License-Expression"], fields["License"]]
        stated += [kind.rsplit(" :: ", 1)[1] for kind in kinds if "License :: OSI" in kind]
        for text in stated:
            if text and len(text) <= _LONGEST_LICENCE:
                return one_line(text)
    return "not stated"


def _licence(crate: ROCrate, name: str, place: str = "#licence/") -> Entity:
    told = {"@type": "CreativeWork", "name": name}
    return _tell(crate, f"{place}{quote(name)}", told)


def _author(crate: ROCrate, author: Mapping[str, str]) -> Entity:
    """A person has a family name in CITATION.cff, an organisation has a name alone."""
    kind = "Person" if "family-names" in author else "Organization"
    parts = [author.get(key) for key in ("given-names", "family-names", "name")]
    name = " ".join(part for part in parts if part)
    return _tell(crate, f"#author/{quote(name)}", {"@type": kind, "name": name})


if __name__ == "__main__":
    run_stage("crate", main, timed=False)
