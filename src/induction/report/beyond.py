"""Questions asked since the paper: their verdicts and tables."""

from collections.abc import Iterator

from induction.files import read_json
from induction.paths import StudyPaths
from induction.report import contexts
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, number, onset, percent, short_tokens
from induction.runs.layout import published_folders
from induction.study.beyond.bigrams import Nearest
from induction.study.beyond.experiments import names_of
from induction.study.beyond.foresight import MIN_KINDS, MIN_MODELS
from induction.study.beyond.llc import Turns


def overview(results: Results) -> str:
    """Every claim: whose it is, what is new here, on how many models it rests, and its verdict;
    where this run does not test it, that of published runs that do."""
    found, of_context = results.beyond, contexts.load_context_law(results.paths)
    claims = (
        (
            "training passes through predictors of growing order",
            "Hoogland et al. 2025, Edelman et al. 2024",
            "before the onset in real text; one-layer models pass through them too",
            *("bigrams", len(found.bigrams.asked)),
        ),
        (
            "the loss's geometry turns where induction heads form",
            "Hoogland et al. 2025, Wang et al. 2025",
            "one-layer models as a control; chains must agree",
            *("geometry", len(found.geometry.asked)),
        ),
        (
            "the onset can be foreseen from what a model shows early",
            "against Aoyama et al. 2025",
            "kinds of model left out; a constant guess and their formula beside it",
            *("foresight", found.foresight.models),
        ),
        (
            "induction heads are a handle on copying",
            "asked here",
            "other heads scaled in the same way; what it costs",
            *("control", len(found.control.tested)),
        ),
        (
            "the onset follows the root of the batch",
            "Aoyama et al. 2025",
            "with and without rates that follow the batch; intervals over seeds",
            *("batch", len(names_of(found.batch.groups))),
        ),
        (
            "the onset follows the root of the context",
            "Aoyama et al. 2025; Musat et al. 2025: its square",
            "windows and probes that scale with it; batches as long beside it",
            *("context", len(names_of(of_context.groups))),
        ),
        (
            "the ICL score is copying",
            "Şahin et al. 2025",
            "as many targets left out at random; targets apart that cannot be copied",
            *("copying", len(names_of(found.copying.groups))),
        ),
        (
            "the change waits for one part of the circuit",
            "Singh et al. 2024",
            "each part given from the start, in real text; induction forbidden",
            *("bottleneck", len(names_of(found.bottleneck.groups))),
        ),
        (
            "repetition brings heads earlier, but less depends on them",
            "Sabry and Belz 2025",
            "reversed segments as a control; intervals over seeds",
            *("repetition", len(names_of(found.repetition.groups))),
        ),
    )
    elsewhere = _published(results)
    rows = []
    for claim, whose, added, question, models in claims:
        own = of_context if question == "context" else getattr(found, question)
        told = sentence(
            *("beyond", "outcome"),
            outcome=own.outcome,
            elsewhere=elsewhere.get(question, {}),
        )
        rows.append((claim, whose, added, str(models), told))
    header = ("claim", "by whom", "what is added here", "models", "verdict")
    return markdown_table(header, "lllrl", rows)


def _published(results: Results) -> dict[str, dict[str, str]]:
    """By question, the outcomes of the other published runs that test it."""
    found: dict[str, dict[str, str]] = {}
    for name, folder in published_folders(results.paths).items():
        path = StudyPaths(folder).beyond
        if name != results.config.name and path.is_file():
            for question, value in read_json(path).items():
                if value["outcome"] != "not tested":
                    found.setdefault(question, {})[name] = value["outcome"]
    return found


def bigrams(results: Results) -> str:
    """The verdict on the bigram stage, and where each model is nearest to which predictor."""
    found = results.beyond.bigrams
    listed = [n for n in (*found.asked, *found.beside) if n.model in results.listed]
    rows = [_nearest(n) for n in listed]
    header = (
        *("model", "unigrams", "bigrams", "onset", "trigrams"),
        *("unigrams first", "bigrams before the onset", "from bigrams: least", "at the end"),
    )
    verdict = sentence(
        "beyond", "verdict", outcome=found.outcome, asked=[n.model for n in found.asked]
    )
    return f"{verdict}\n\n{markdown_table(header, 'lrrrrrrrr', rows)}" if rows else verdict


def _nearest(n: Nearest) -> tuple[str, ...]:
    return (
        f"`{n.model}`",
        short_tokens(n.nearest_tokens["unigram"]),
        short_tokens(n.nearest_tokens["bigram"]),
        onset(n.onset_tokens),
        short_tokens(n.nearest_tokens["trigram"]),
        percent(n.unigrams_first),
        "shown alone" if n.before_onset is None else percent(n.before_onset),
        number(n.least["bigram"]),
        number(n.final["bigram"]),
    )


def geometry(results: Results) -> str:
    """The verdict on the learning coefficient, and where it turns in each model."""
    found = results.beyond.geometry
    asked = [turns.model for turns in found.asked]
    lead = sentence("beyond", "verdict", outcome=found.outcome, asked=asked)
    if not results.coefficients:
        return f"{lead} {sentence('beyond', 'without_samples')}"
    rows = [*_turns(found.asked, ""), *_turns(found.beside, "shown alone")]
    header = (
        *("model", "boundaries", "onset", "nearest", "spread", "range", "at the end"),
        *("chains agree", ""),
    )
    return f"{lead}\n\n{markdown_table(header, 'lrrrrrrll', rows)}" if rows else lead


def _turns(models: tuple[Turns, ...], remark: str) -> Iterator[tuple[str, ...]]:
    for turns in models:
        nearest = turns.nearest(turns.onset_tokens) if turns.onset_tokens else None
        yield (
            f"`{turns.model}`",
            ", ".join(map(short_tokens, turns.boundaries)) or "none",
            onset(turns.onset_tokens),
            "" if nearest is None else number(nearest),
            number(turns.spread, 0),
            number(turns.range, 0),
            number(turns.last, 0),
            "yes" if turns.chains_agree else "no",
            remark,
        )


def foresight(results: Results) -> str:
    """The verdict on foreseeing the onset, with its errors, or why it was not asked."""
    found = results.beyond.foresight
    lead = sentence(
        "beyond", "foresight", outcome=found.outcome, models=found.models, kinds=found.kinds
    )
    if not (found.without_kind and found.without_model and found.moment_tokens):
        needs = sentence("beyond", "without_seeds", models=MIN_MODELS, kinds=MIN_KINDS)
        return f"{lead} {needs}"
    rows = [
        (left_out, *(number(e) for e in (errors.regression, errors.constant, errors.formula)))
        for left_out, errors in (
            ("each kind", found.without_kind),
            ("each model", found.without_model),
        )
    ]
    header = ("left out", "regression", "constant guess", "formula")
    errors = sentence(
        *("beyond", "foresight_errors"),
        moment_tokens=found.moment_tokens,
        p_value=found.p_value or 0.0,
    )
    return f"{lead} {errors}\n\n{markdown_table(header, 'lrrr', rows)}"
