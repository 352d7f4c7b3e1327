"""Values that are each fine but cannot go together."""

from collections.abc import Iterator

from induction.config.complaints import unknown
from induction.config.sections import RESOURCE_GROUPS, StudyConfig

_BRANCHES = frozenset({"main", "master", "HEAD"})


def impossible(config: StudyConfig) -> Iterator[tuple[str, str]]:
    """Pairs of key and problem for values that are each fine but cannot go together."""
    shape, train, ev = config.model, config.train, config.evaluation
    if shape.d_model % shape.n_heads:
        yield (
            "model.d_model",
            f"{shape.d_model} does not divide into n_heads: {shape.n_heads} heads of equal size: "
            f"use a multiple of {shape.n_heads}",
        )
    if shape.d_model % 2:
        yield "model.d_model", f"{shape.d_model} is odd: sinusoidal positions need an even number"
    if train.batch_tokens % shape.n_ctx:
        yield (
            "train.batch_tokens",
            f"{train.batch_tokens} is no multiple of model.n_ctx: {shape.n_ctx}",
        )
    elif train.batch_tokens // shape.n_ctx % config.compute.processes:
        yield (
            "compute.processes",
            f"{config.compute.processes} cannot share the {train.batch_tokens // shape.n_ctx} "
            "windows of train.batch_tokens equally: use a divisor, or another batch",
        )
    for name in ("early", "late"):
        low, high = getattr(ev, name)
        if not low <= high < shape.n_ctx:
            yield (
                f"evaluation.{name}",
                f"[{low}, {high}] must be ascending and below model.n_ctx: {shape.n_ctx}",
            )
    if ev.early[1] >= ev.late[0]:
        yield "evaluation.late", f"must start after evaluation.early ends, at {ev.early[1] + 1}"
    shortest, longest = ev.probe_period
    if not 2 <= shortest <= longest:
        yield "evaluation.probe_period", "must be two ascending lengths of at least 2"
    if 1 + ev.probe_repeats * longest > shape.n_ctx:
        yield (
            "evaluation.probe_period",
            f"{ev.probe_repeats} repeats of {longest} tokens and the start token are longer than "
            f"model.n_ctx: {shape.n_ctx}: at most {(shape.n_ctx - 1) // ev.probe_repeats}",
        )
    rare, common = ev.probe_vocab_quantiles
    if not 0 <= rare < common <= 1:
        yield "evaluation.probe_vocab_quantiles", "must be two ascending numbers from 0 to 1"
    elif (common - rare) * (config.tokenizer.d_vocab - 1) < longest:
        yield "evaluation.probe_vocab_quantiles", f"leaves fewer than {longest} tokens to draw from"
    if ev.tokens_per_example > shape.n_ctx:
        yield "evaluation.tokens_per_example", f"at most model.n_ctx: {shape.n_ctx}"
    if ev.pattern_examples > ev.examples:
        yield "evaluation.pattern_examples", f"at most evaluation.examples: {ev.examples}"
    if config.ablation.examples > ev.examples:
        yield "ablation.examples", f"at most evaluation.examples: {ev.examples}"
    if config.explorer.tokens > shape.n_ctx:
        yield "explorer.tokens", f"at most model.n_ctx: {shape.n_ctx}"
    behaviours = config.behaviours
    if behaviours.gap[0] > behaviours.gap[1]:
        yield "behaviours.gap", "must be two ascending lengths"
    if list(behaviours.shots) != sorted(set(behaviours.shots)):
        yield "behaviours.shots", "must be ascending, none twice"
    if ".." in behaviours.translation_file.split("/"):
        yield "behaviours.translation_file", "must stay below data/own/"
    steering = config.steering
    if list(steering.scales) != sorted(set(steering.scales)):
        yield "steering.scales", "must be ascending, none twice"
    elif steering.scales[0] > 0 or 1 not in steering.scales or steering.scales[-1] <= 1:
        yield "steering.scales", "must hold 0, 1 and a number above 1"
    if steering.prompt_tokens + steering.new_tokens > shape.n_ctx:
        yield (
            "steering.new_tokens",
            f"{steering.new_tokens} behind {steering.prompt_tokens} of the prompt are longer than "
            f"model.n_ctx: {shape.n_ctx}",
        )
    for name in ("windows", "prompts"):
        if getattr(steering, name) > ev.examples:
            yield f"steering.{name}", f"at most evaluation.examples: {ev.examples}"
    for side in ("early", "late"):
        for low, high in getattr(config.icl_windows, side):
            if not low <= high < shape.n_ctx:
                yield (
                    f"icl_windows.{side}",
                    f"[{low}, {high}] must be ascending and below model.n_ctx: {shape.n_ctx}",
                )
    for group, asked in config.resources.items():
        if group not in RESOURCE_GROUPS:
            yield f"resources.{group}", unknown(group, RESOURCE_GROUPS)
        if asked.gpus > 1 and asked.gpus % 1:
            yield (
                f"resources.{group}.gpus",
                f"{asked.gpus}: above 1, expected a whole number of GPUs",
            )
    if "default" not in config.resources:
        yield "resources.default", "this key is missing"
    if not (config.corpus.wheels or config.corpus.files or config.corpus.datasets):
        yield "corpus.files", "give at least one glob, or set corpus.wheels: true"
    for name, dataset in config.corpus.datasets.items():
        if dataset.revision in _BRANCHES:
            yield (
                f"corpus.datasets.{name}.revision",
                f"{dataset.revision} is a branch, which moves: name a commit or tag",
            )
    for name in config.external.keys() & config.models.keys():
        yield f"external.{name}", "models has an entry of this name: choose another"
    for name, model in config.external.items():
        steps = list(model.revisions.values())
        if model.sha256 and not model.file:
            yield f"external.{name}.file", "missing: which GGUF file of the wheel is it?"
        if model.file and len(model.revisions) > 1:
            yield f"external.{name}.revisions", "a GGUF file is one revision: name one, or none"
        if twice := next((step for step in steps if steps.count(step) > 1), None):
            yield f"external.{name}.revisions", f"step {twice} stands twice: give each its own"
    for name, model in config.models.items():
        batch = model.batch_tokens or train.batch_tokens
        if model.tokens < batch:
            yield f"models.{name}.tokens", f"at least one batch: {batch}"
        if model.batch_tokens and batch % (shape.n_ctx * config.compute.processes):
            yield (
                f"models.{name}.batch_tokens",
                f"{batch} is no multiple of model.n_ctx: {shape.n_ctx}, for each of "
                f"compute.processes: {config.compute.processes}",
            )
        if model.clamp in ("induction", "both") and model.n_layers < 2:
            yield f"models.{name}.clamp", f"{model.clamp} clamps a head of the second layer"
        if model.trained_on != "all" and config.compute.processes > 1:
            yield (
                f"models.{name}.trained_on",
                f"{model.trained_on} leaves each of compute.processes: {config.compute.processes} "
                "another number of targets to average over: use one process",
            )
        if model.repeated != "same" and not model.repeated_share:
            yield f"models.{name}.repeated", "needs a repeated_share above 0"
    usual = config.usual.models
    if not usual:
        yield "models", "all are experiments beyond the paper: add one that is none, as attn-2l is"
    for name in config.llc.models:
        if name not in usual:
            yield "llc.models", f"{name}: {unknown(name, usual)}"
