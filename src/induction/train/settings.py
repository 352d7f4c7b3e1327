"""How one model is trained: section train, with what its entry sets of its own."""

from induction.config import StudyConfig, Train


def train_settings(config: StudyConfig, name: str) -> Train:
    """The batch and the learning rates of a model, and what it shares with all."""
    entry, train = config.models[name], config.train
    rate = entry.learning_rate or train.learning_rate
    return train.model_copy(
        update={
            "batch_tokens": entry.batch_tokens or train.batch_tokens,
            "learning_rate": rate * entry.rate_factor,
            "muon_learning_rate": train.muon_learning_rate * entry.rate_factor,
        }
    )
