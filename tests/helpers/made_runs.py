"""Runs that nobody trained: the files of a study with numbers from formulas.

As a program (`made_runs.py tokens|measure MODEL|summarize`), the stages of a tiny pipeline.
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
from ruamel.yaml import YAML

from induction.files import published_folder, write_json, write_text
from induction.paths import StudyPaths
from induction.rules.curves import Curves, load_curves

EXAMPLES, KEPT, N_CTX, SNAPSHOTS = 12, 2, 8, 10
ENVIRONMENT = {"python": "3.11.0", "torch": "2.13.0", "system": "Linux", "machine": "made"}

PIPELINE = """\
vars: [params.yaml]
stages:
  prepare:
    cmd: python made_runs.py tokens
    params: [evaluation]
    outs: [data/tokens]
  measure:
    foreach: ${models}
    do:
      cmd: python made_runs.py measure ${key}
      deps: [data/tokens]
      params: ["models.${key}", evaluation]
      outs: ["data/measurements/${key}"]
  summarize:
    cmd: python made_runs.py summarize
    deps: [data/measurements]
    params: [models, phase_change]
    outs:
      - data/results/curves.csv: {cache: false}
      - data/results/details.json
      - data/results/verdicts.json
      - data/results/pca.json
      - data/results/pca.parquet
      - data/results/pca_basis.npz
    metrics:
      - data/results/metrics.json: {cache: false}
"""


def entry(n_layers: int = 2, seed: int = 0, **other) -> dict:
    plain = {"n_layers": n_layers, "attn_only": True, "smeared_keys": False, "optimizer": "muon"}
    return {**plain, "tokens": 1_000_000, "seed": seed, **other}


def params(models: dict[str, dict], **other) -> dict:
    """What the comparison reads of params.yaml."""
    return {
        "name": "made",
        "evaluation": {"examples": EXAMPLES, "tokens_per_example": KEPT, "seed": 0},
        "model": {"n_ctx": N_CTX},
        "phase_change": {"min_tokens": 100_000},
        "models": models,
        **other,
    }


def write_run(folder: Path, values: dict, **about) -> StudyPaths:
    """A whole run with the record that DVC would have made of it."""
    paths = StudyPaths(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {"label": folder.name, **about})
    YAML().dump(values, paths.params)
    paths.lock.write_text("numpy==2.0.0\ntorch==2.13.0 ; sys_platform == 'linux'\n")
    write_tokens(paths, values)
    for name in values["models"]:
        write_measurements(paths, values, name)
        write_json(paths.timing(f"measure@{name}"), {"stage": f"measure@{name}", "seconds": 2.0})
    write_results(paths, values)
    YAML().dump({"schema": "2.0", "stages": _stages(values)}, folder / "dvc.lock")
    return paths


def write_tokens(paths: StudyPaths, values: dict) -> None:
    with published_folder(paths.tokens, paths.scratch) as folder:
        (folder / "valid.bin").write_bytes(b"text")
        source = {"name": "own/a.txt", "sha256": "0" * 64, "documents": 3, "characters": 900}
        sizes = {"train_tokens": 3000, "valid_tokens": 400, "train_documents": 2}
        write_json(folder / "meta.json", {"d_vocab": 512, "sources": [source], **sizes})


def write_measurements(paths: StudyPaths, values: dict, name: str) -> None:
    """Deep models fall and get a head; the seed moves where, by a little."""
    model = values["models"][name]
    tokens = np.geomspace(20_000, model["tokens"], SNAPSHOTS).round().astype(np.int64)
    random = np.random.default_rng([model["seed"], model["n_layers"]])
    onset = 200_000 * (1 + 0.1 * model["seed"])
    risen = 1 / (1 + (onset / tokens) ** 3) if model["n_layers"] > 1 else 0 * tokens
    loss = 6 - 0.3 * np.log(tokens / 20_000)
    late = loss[:, None] - risen[:, None] + random.normal(0, 0.05, (SNAPSHOTS, EXAMPLES))
    per_token = loss[:, None] + random.normal(0, 1, EXAMPLES * KEPT) * (1 + risen[:, None])
    heads = pl.DataFrame(
        {"step": tokens // 100, "tokens": tokens, "layer": 0, "head": 0}
        | {"prefix_matching": 0.6 * risen, "previous_token": 0.7 * risen}
    )
    with published_folder(
        paths.measurements(name), paths.scratch, {"environment": ENVIRONMENT}
    ) as folder:
        np.savez(
            folder / "losses.npz",
            step=tokens // 100,
            tokens=tokens,
            early=np.repeat(loss[:, None], EXAMPLES, axis=1).astype(np.float32),
            late=late.astype(np.float32),
            per_index=np.repeat(loss[:, None], N_CTX, axis=1).astype(np.float32),
            per_token=per_token.astype(np.float32),
            prefix_sequences=np.zeros((SNAPSHOTS, 1, 1, 3), np.float32),
        )
        heads.write_parquet(folder / "heads.parquet")
        heads.write_parquet(folder / "circuits.parquet")


def write_results(paths: StudyPaths, values: dict) -> None:
    """Metrics with intervals, verdicts, curves and components."""
    from induction.study.pca import fit_loss_space  # the other stages start without it

    curves = {name: load_curves(paths, name) for name in values["models"]}
    paths.results.mkdir(parents=True, exist_ok=True)
    rows, details, table = {}, {}, []
    for name, own in curves.items():
        rows[name], details[name] = _metrics(own, values["models"][name])
        columns = {"loss": own.loss, "icl_score": own.icl_score}
        scores = {score: own.best_head(score) for score in ("prefix_matching", "previous_token")}
        table.append(pl.DataFrame({"model": name, "tokens": own.tokens, **columns, **scores}))
    pl.concat(table).write_csv(paths.curves, float_precision=5)
    write_json(paths.metrics, {"models": rows})
    write_json(paths.details, details)
    deep = any(model["n_layers"] > 1 for model in values["models"].values())
    write_json(paths.verdicts, [verdict(1, "supported" if deep else "not supported", deep)])
    write_json(paths.seeds, {"verdicts": [], "bumps": []})
    nothing = {"outcome": "not tested"}
    bigrams, control = {"asked": [], "beside": []}, {"tested": [], "models": {}}
    foresight = {"models": 0, "kinds": 0}
    write_json(
        paths.beyond,
        {
            "bigrams": nothing | bigrams,
            "foresight": nothing | foresight,
            "control": nothing | control,
        },
    )
    write_text(paths.steering_curves, "model,measure,heads,scale,value\n")
    space = fit_loss_space(curves, 3, values["phase_change"]["min_tokens"])
    write_json(paths.pca, {"explained_variance": space.explained_variance.tolist()})
    space.scores.write_parquet(paths.pca_scores)
    fitted = [own.per_token[own.tokens >= 100_000] for own in curves.values()]
    mean = np.concatenate(fitted).mean(axis=0)
    np.savez(paths.pca_basis, mean=mean, components=space.components.astype(np.float32))


def verdict(argument: int, outcome: str, held: bool, max_lag: float = 0.3) -> dict:
    check = {"question": "a head forms", "models": ["deep"], "numbers": {}, "held": held}
    rule = {"title": "Co-occurrence", "thresholds": {"max_lag": max_lag}}
    return {"argument": argument, "outcome": outcome, "checks": [check], **rule}


def _metrics(own: Curves, model: dict) -> tuple[dict, dict]:
    score, deep = float(own.icl_score[-1]), model["n_layers"] > 1
    onset = round(200_000 * (1 + 0.1 * model["seed"])) if deep else None
    row = {
        "band_complete": True if deep else None,
        "band_tokens": [onset, 2 * onset] if onset else None,
        "icl_score": round(score, 4),
        "loss": round(float(own.loss[-1]), 4),
        "loss_per_character": None,
        "max_prefix_matching": round(float(own.best_head("prefix_matching")[-1]), 4),
        "n_induction_heads": int(deep),
        "onset_tokens": onset,
    }
    intervals = {
        "icl_score": [score - 0.05, score + 0.05],
        "onset_tokens": [0.97 * onset, 1.03 * onset] if onset else None,
    }
    return row, {"intervals": intervals}


def _stages(values: dict) -> dict:
    """What dvc.lock would hold, less the hashes of results: they are not looked at here."""
    tokens = {"path": "data/tokens", "md5": json.dumps(values["evaluation"])}
    stages = {
        "prepare": {
            "cmd": "python made_runs.py tokens",
            "params": {"params.yaml": {"evaluation": values["evaluation"]}},
            "outs": [tokens],
        }
    }
    for name, model in values["models"].items():
        key, text = f"models.{name}", json.dumps([model, tokens])
        stages[f"measure@{name}"] = {
            "cmd": f"python made_runs.py measure {name}",
            "deps": [tokens, {"path": "src/measure.py", "md5": "code"}],
            "params": {"params.yaml": {key: model}},
            "outs": [{"path": f"data/measurements/{name}", "md5": text}],
        }
    stages["summarize"] = {
        "cmd": "python made_runs.py summarize",
        "deps": [{"path": "data/measurements", "md5": json.dumps(values["models"])}],
        "params": {"params.yaml": {"models": values["models"]}},
        "outs": [{"path": "data/curves", "md5": json.dumps(values["models"])}],
    }
    return stages


def main(stage: str, model: str = "") -> None:
    paths = StudyPaths(Path.cwd())
    values = YAML(typ="safe").load(paths.params)
    if stage == "tokens":
        write_tokens(paths, values)
    elif stage == "measure":
        write_measurements(paths, values, model)
    else:
        write_results(paths, values)


if __name__ == "__main__":
    main(*sys.argv[1:])
