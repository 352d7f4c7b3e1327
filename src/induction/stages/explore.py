"""Stage explore: snapshots of all models → what they do on a few passages of validation text."""

import numpy as np

from induction.config import StudyConfig
from induction.data.tokenizer import load_tokenizer
from induction.data.tokens import load_tokens
from induction.environment import environment
from induction.explore.passages import choose_passages
from induction.explore.patterns import attention_patterns, token_losses
from induction.explore.store import OnPassages, save_model, save_passages
from induction.files import published_folder, verify_folder
from induction.model.compute import set_up_torch
from induction.model.weights import list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import progress
from induction.stages import run_stage


def main(paths: StudyPaths, config: StudyConfig) -> None:
    settings, device = config.explorer, set_up_torch(config.compute)
    verify_folder(paths.tokens)
    for name in config.usual.models:
        verify_folder(paths.snapshots(name))
    passages = choose_passages(
        load_tokens(paths.tokens, "valid"),
        load_tokenizer(paths.tokens),
        settings.passages,
        settings.tokens,
    )
    ids = np.array([passage.ids for passage in passages])
    about = {"environment": environment(paths.lock)}
    with (
        published_folder(paths.explorer, paths.scratch, about) as folder,
        progress(len(config.usual.models), "models") as report,
    ):
        save_passages(folder, passages)
        for done, name in enumerate(config.usual.models, start=1):
            snapshots = list_snapshots(paths.snapshots(name))
            picked = evenly_picked(len(snapshots), settings.snapshots)
            losses, patterns = [], []
            for index, snapshot in enumerate(snapshots):
                model = load_snapshot(snapshot.path).to(device)
                losses.append(token_losses(model, ids))
                if index in picked:
                    patterns.append(attention_patterns(model, ids))
            tokens = np.array([snapshot.tokens for snapshot in snapshots])
            save_model(
                folder, name, OnPassages(tokens, np.stack(losses), picked, np.stack(patterns))
            )
            report(done, name)


def evenly_picked(snapshots: int, count: int) -> np.ndarray:
    """Indices of up to `count` of the snapshots, as even as can be, first and last included."""
    return np.unique(np.linspace(0, snapshots - 1, count).round().astype(int))


if __name__ == "__main__":
    run_stage("explore", main)
