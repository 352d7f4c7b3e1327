"""The tables of the report, as Markdown."""

from collections.abc import Sequence

from induction.config import ExternalModel, Model, load_config
from induction.report.results import Results, Timing
from induction.report.text import code, markdown_table, number, percent, short_digest, short_tokens
from induction.rules.intervals import Interval
from induction.study.verdicts import Check

_LABELS = {
    "onset_tokens": "onset",
    "plain_onset_tokens": "onset of the plain model",
    "heads_formed_tokens": "heads half formed",
    "max_prefix_matching": "prefix matching",
    "models_with_change": "models with a change",
    "lag": "distance to band",
    "icl_gain": "ICL gain (nats)",
    "removed_share": "removed",
    "removed_low": "from",
    "removed_high": "to",
    "draws": "draws",
    "ov_eigenvalue": "OV",
    "qk_eigenvalue": "QK",
    "partner_previous_token": "partner's previous-token score",
    "k_composition": "K",
    "q_composition": "Q",
    "v_composition": "V",
    "behaviours_done": "behaviours beyond literal copying",
    "behaviours_served": "by induction heads",
    "right_share": "share of the right place",
    "right_share_low": "its lower end",
    "over_random_low": "above other heads by at least",
    "over_shuffled_low": "above shuffled labels by at least",
    "onset_step": "step of the onset (e-folds)",
    "icl_step": "step of the ICL score (nats)",
}


def zoo(results: Results, models: Sequence[str] = ()) -> str:
    """What each model is and what it was trained on; of those listed, if not of others."""
    return markdown_table(
        ("model", "layers", "MLPs", "smeared", "optimiser", "tokens", "seed"),
        "lrllllr",
        (
            (
                f"`{name}`",
                str(model.n_layers),
                "no" if model.attn_only else "yes",
                _smeared(model),
                *_recipe(model, float(results.curves[name].tokens[-1])),
            )
            for name in models or results.listed
            for model in [results.config.studied[name]]
        ),
    )


def _smeared(model: Model | ExternalModel) -> str:
    """What of a position is mixed with the one before it."""
    if model.plain:
        return "nothing"
    values = isinstance(model, Model) and model.smeared_values
    return " and ".join(["keys"] * model.smeared_keys + ["values"] * values)


def _recipe(model: Model | ExternalModel, tokens: float) -> tuple[str, str, str]:
    """Optimiser, tokens and seed."""
    if isinstance(model, ExternalModel):
        return "that of others", short_tokens(tokens), "–"
    optimiser = "Muon and AdamW" if model.optimizer == "muon" else "AdamW"
    if model.learning_rate:
        optimiser += f" at {model.learning_rate:g}"
    if model.data_order != "shared":
        optimiser += f", text in {model.data_order} order"
    return optimiser, short_tokens(tokens), str(model.seed)


def onsets(results: Results, models: Sequence[str] = ()) -> str:
    """Onset with its interval, band, and the scores of the last snapshot; of the models listed, if
    not of others."""
    return markdown_table(
        (
            "model",
            "onset (95 % interval)",
            "band",
            "heads half formed",
            "ICL score",
            "loss",
            "loss per character",
            "prefix matching",
            "previous token",
        ),
        "lrrrrrrrr",
        (
            (
                f"`{name}`",
                _with_interval(model.onset_tokens, model.intervals["onset_tokens"]),
                _interval(model.band_tokens)
                + ("*" if model.change and not model.change.complete else ""),
                short_tokens(model.heads_formed_tokens),
                number(model.icl_score),
                number(model.loss),
                number(model.loss_per_character),
                number(model.max_prefix_matching),
                number(model.max_previous_token),
            )
            for name in models or results.listed
            for model in [results.models[name]]
        ),
    )


def all_seeds(results: Results) -> str:
    """Those two tables and every check, of all models; a sentence where all are listed before."""
    if len(results.listed) == len(results.models):
        return "The tables before this one list every model."
    models = list(results.models)
    parts = [zoo(results, models), onsets(results, models)]
    for verdict in results.verdicts:
        if verdict.checks:
            parts += [f"Checks of argument {verdict.argument}:", _checks(verdict.checks)]
    return "\n\n".join(parts)


def checks(results: Results, argument: int) -> str:
    """The checks of one verdict with their numbers, as far as they are of models listed."""
    listed = set(results.listed)
    found = results.verdict(argument).checks
    return _checks([check for check in found if listed.issuperset(check.models)])


def _checks(checks: Sequence[Check]) -> str:
    return markdown_table(
        ("models", "check", "numbers", "held"),
        "llll",
        (
            (
                ", ".join(f"`{name}`" for name in check.models),
                check.question,
                "; ".join(
                    f"{_LABELS[key]} {_quantity(key, value)}"
                    for key, value in check.numbers.items()
                ),
                {True: "yes", False: "no", None: "open"}[check.held],
            )
            for check in checks
        ),
    )


def checks_if_any(results: Results, argument: int) -> str:
    """The same, for an argument that may have none: then nothing."""
    return checks(results, argument) if results.verdict(argument).checks else ""


def parameters(results: Results) -> str:
    """Every parameter of the study, a row for each table of params.yaml and for each model."""
    # All of params.yaml: `results.config` leaves out the models of experiments.
    values = load_config(results.paths.params).model_dump(mode="json")
    models = {
        f"{table}.{name}": entry
        for table in ("models", "external")
        for name, entry in values.pop(table).items()
    }
    loose = {key: value for key, value in values.items() if not isinstance(value, dict)}
    nested = {key: value for key, value in values.items() if isinstance(value, dict)}
    return markdown_table(
        ("table", "parameters"),
        "ll",
        (
            (f"`{name}`" if name else "–", ", ".join(f"{k} {_plain(v)}" for k, v in rows.items()))
            for name, rows in {"": loose, **nested, **models}.items()
        ),
    )


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{key} {_plain(item)}' for key, item in value.items())})"
    if isinstance(value, list):
        return f"({', '.join(_plain(item) for item in value)})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):  # a glob such as src/**/*.py would be taken for emphasis
        return code(short_digest(value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def durations(results: Results) -> str:
    """Seconds and memory that each group of stages took, over all models."""
    groups: dict[str, list[Timing]] = {}
    for timing in results.timings:
        groups.setdefault(timing.stage.split("@")[0], []).append(timing)
    rows = []
    for name, group in groups.items():
        seconds = [timing.seconds for timing in group]
        most = max((each.peak_gib for each in group if each.peak_gib is not None), default=None)
        times = (f"{sum(seconds):.0f}", f"{max(seconds):.0f}", number(most, 1))
        rows.append((f"`{name}`", str(len(group)), *times))
    header = ("stage", "runs", "seconds in all", "longest", "most memory (GiB)")
    return markdown_table(header, "lrrrr", rows)


def _quantity(key: str, value: float | None) -> str:
    if key in ("models_with_change", "draws", "behaviours_done", "behaviours_served"):
        return number(value, 0)
    if key.startswith("removed_"):
        return percent(value)
    return short_tokens(value) if key.endswith("_tokens") else number(value)


def _interval(ends: Interval | None) -> str:
    return "–" if ends is None else f"{short_tokens(ends[0])} to {short_tokens(ends[1])}"


def _with_interval(value: float | None, ends: Interval | None) -> str:
    return short_tokens(value) if ends is None else f"{short_tokens(value)} ({_interval(ends)})"
