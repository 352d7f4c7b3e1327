"""What data/DATACARD.md and data/MODELCARD.md state is what the published run and the list say."""

import re
from pathlib import Path

import pytest

from induction.config import load_config
from induction.data.fetch import read_requirements
from induction.files import read_json
from induction.runner.disk import parameter_count

ROOT = Path(__file__).parents[2]
RUN = ROOT / "data/published/laptop"
META = read_json(RUN / "data/tokens/meta.json")
METRICS = read_json(RUN / "data/results/metrics.json")["models"]
CONFIG = load_config(RUN / "params.yaml")
DATA, MODEL = ((ROOT / "data" / name).read_text() for name in ("DATACARD.md", "MODELCARD.md"))


def table(card: str, first: str) -> dict[str, dict[str, str]]:
    """The rows of the table whose first column has this head, by that column."""
    lines = card[card.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    head, _, *rows = [line.strip("| ").split(" | ") for line in lines]
    return {row[0].strip(): dict(zip(head, row, strict=False)) for row in rows}


def test_every_package_is_named_with_its_size():
    told = table(DATA, "package")
    sources = {source["sha256"]: source for source in META["sources"]}
    listed = read_requirements(ROOT / "data/sources.txt")
    assert set(told) == {each.name for each in listed} | {"all"}
    for each in listed:
        row, source = told[each.name], sources[each.sha256]
        assert row["version"] == each.version
        assert row["documents"] == f"{source['documents']:,}"
        assert row["characters"] == f"{source['characters']:,}"


def test_the_licences_are_those_of_the_groups_of_the_list():
    told = table(DATA, "package")
    groups = re.findall(
        r"^# (.+)\n((?:\S+==.*\n?)+)", (ROOT / "data/sources.txt").read_text(), re.M
    )
    found = 0
    for heading, lines in groups:
        kind = re.split(r"\W", heading)[0]
        for name in re.findall(r"^(\S+)==", lines, re.M):
            found += 1
            assert kind in told[name]["licence as stated"], name
    assert found == len(told) - 1


def test_the_amounts_of_text_are_those_of_the_run():
    told = table(DATA, "what")
    for kind in ("documents", "characters", "tokens"):
        for column, split in (("training", "train"), ("validation", "valid")):
            assert told[kind][column].strip() == f"{META[f'{split}_{kind}']:,}"
    dropped = META["dropped"]
    for count, words in (
        (sum(dropped.values()), "files were left out"),
        (dropped["too_short"], "too short"),
        (dropped["generated"], "written by a program"),
        (dropped["duplicate"], "that stood there already"),
        (dropped["long_line"], "with a very long line"),
        (dropped["not_utf8"], "not UTF-8"),
    ):
        assert f"{count:,} {words}" in DATA
    assert dropped["too_large"] == 0  # the card does not name this reason
    assert f"{META['d_vocab']:,} entries, {META['characters_per_token']:.2f} characters" in DATA
    sizes = sorted((source["characters"] for source in META["sources"]), reverse=True)
    assert f"hold {100 * sum(sizes[:3]) / sum(sizes):.0f} % of the characters" in DATA
    assert f"code of {len(META['sources'])} packages" in DATA


@pytest.mark.parametrize("name", METRICS)
def test_the_numbers_of_a_model_are_those_of_the_run(name):
    model, metrics, row = CONFIG.models[name], METRICS[name], table(MODEL, "model")[name]
    onset = metrics["onset_tokens"]
    assert row == {
        "model": name,
        "layers": str(model.n_layers),
        "MLP": "no" if model.attn_only else "yes",
        "smeared keys": "yes" if model.smeared_keys else "no",
        "seed": str(model.seed),
        "parameters": f"{parameter_count(CONFIG, name):,}",
        "loss": f"{metrics['loss']:.2f}",
        "ICL score": f"{metrics['icl_score']:.2f}".replace("-", "−"),
        "onset (tokens)": "none" if onset is None else f"{onset:,}",
        "induction heads": str(metrics["n_induction_heads"]),
    }


def test_the_model_card_tells_the_settings_of_the_run():
    assert set(table(MODEL, "model")) == set(METRICS)
    model, train = CONFIG.model, CONFIG.train
    assert f"at {CONFIG.snapshots.count} moments" in MODEL
    assert f"d_model {model.d_model}, {model.n_heads} heads a layer" in MODEL
    assert f"a context of {model.n_ctx} tokens" in MODEL
    assert f"a vocabulary of {CONFIG.tokenizer.d_vocab:,}" in MODEL
    assert f"MLPs of width {model.d_mlp}" in MODEL
    assert f"batches of {train.batch_tokens:,}" in MODEL
    assert {each.tokens for each in CONFIG.models.values()} == {10_000_000}
    assert "10 million tokens each" in MODEL
    step = 10_000_000 // train.batch_tokens
    assert f"step-{step:06d}.safetensors" in MODEL
