"""The paths of a study: where its results, its parameters and its own notes lie."""

from dataclasses import dataclass
from pathlib import Path

from induction.errors import StudyError


class _Below:
    """A path below the root of a study."""

    def __init__(self, path: str):
        self._path = path

    def __get__(self, study: "StudyPaths", owner: type) -> Path:
        return study.root / self._path


@dataclass(frozen=True)
class StudyPaths:
    """The files of one checkout, given its root (the folder that holds `params.yaml`)."""

    root: Path

    @property
    def checkout(self) -> Path:
        """Where the user's own files are: the root, but for the copies below .dvc/tmp/exps in which
        `dvc exp run --temp` and queued experiments work, which lack what git ignores."""
        for parent in self.root.parents:
            if parent.parts[-3:] == (".dvc", "tmp", "exps"):
                return parent.parents[2]
        return self.root

    own = _Below("data/own")
    """The user's own files, as DVC watches them."""
    params = _Below("params.yaml")
    pipeline = _Below("dvc.yaml")
    lock = _Below("requirements.lock")
    stages_lock = _Below("dvc.lock")
    """What DVC recorded of the last run: hashes and parameters of every stage."""
    citation = _Below("CITATION.cff")
    """Authors, title and licence of the study."""
    sources = _Below("data/sources.txt")
    """The pinned list of wheels, in pip's requirement syntax."""

    def wheel_lists(self, *, prose: bool) -> list[Path]:
        """`sources`, and for a study of prose the list of more wheels that hold some."""
        return [self.sources, *([self.root / "data" / "prose_sources.txt"] if prose else [])]

    raw = _Below("data/raw")
    tokens = _Below("data/tokens")
    tokens_manifest = _Below("data/tokens/manifest.json")
    tokens_meta = _Below("data/tokens/meta.json")

    def snapshots(self, model: str) -> Path:
        return self.root / "data" / "snapshots" / model

    def external(self, model: str) -> Path:
        """What is measured of a model that others trained: its revisions, not their weights."""
        return self.root / "data" / "external" / model

    hub = _Below(".scratch/hub")
    """Downloaded weights."""

    def measurements(self, model: str) -> Path:
        return self.root / "data" / "measurements" / model

    def reading(self, model: str) -> Path:
        """How a model of others was read: revisions, tokenizer, start token."""
        return self.root / "data" / "measurements" / f"{model}.json"

    def ablations(self, model: str) -> Path:
        return self.root / "data" / "ablations" / model

    def behaviours(self, model: str) -> Path:
        return self.root / "data" / "behaviours" / model

    def ngrams(self, model: str) -> Path:
        """How far a model is from n-gram predictors."""
        return self.root / "data" / "beyond" / "ngrams" / model

    def steering(self, model: str) -> Path:
        """What the model does while its induction heads are turned down and up."""
        return self.root / "data" / "beyond" / "steering" / model

    def llc(self, model: str) -> Path:
        """The local learning coefficient of a model over training, where it is asked for."""
        return self.root / "data" / "beyond" / "llc" / model

    explorer = _Below("data/explorer")
    """What every model does on a few passages, for the report's attention explorer."""
    results = _Below("data/results")
    metrics = _Below("data/results/metrics.json")
    verdicts = _Below("data/results/verdicts.json")
    details = _Below("data/results/details.json")
    """What the report shows beyond the metrics: heads, circuits, attribution of each model."""
    seeds = _Below("data/results/seeds.json")
    """The verdicts and the bumps of the mean loss over seeds; both empty where no kind of
    model has seeds enough."""
    beyond = _Below("data/results/beyond.json")
    """Questions asked since the paper, with what was found."""
    steering_curves = _Below("data/results/steering.csv")
    """What scaling the induction heads, or as many others, does to each measure."""
    windows = _Below("data/results/windows.csv")
    pca = _Below("data/results/pca.json")
    """Explained variance, and the angle of each trajectory at its band."""
    pca_scores = _Below("data/results/pca.parquet")
    pca_basis = _Below("data/results/pca_basis.npz")
    """Mean and components, so that another run can be shown in the same space."""
    pca_tokens = _Below("data/results/pca_tokens.parquet")
    """The tokens that weigh most on each component."""
    curves = _Below("data/results/curves.csv")
    """Curves over training of all models, for DVC's plots."""
    portability = _Below("data/portability.json")
    """Headline numbers of one model on another kind of processor (`make bench-portability`)."""
    last_run = _Below(".scratch/last_run.json")
    """What the last whole run of `make study` took, by stage, as the runner saw it."""
    verified = _Below(".scratch/verified.json")
    """Objects of DVC's cache that were found whole (see runner/cache.py)."""
    timings = _Below("data/timings")

    def timing(self, stage: str) -> Path:
        """Duration of one stage. Beside the results, never inside: it differs between runs."""
        return self.timings / f"{stage}.json"

    report_source = _Below("reports")
    report_text = _Below("reports/text")
    """The sentences of the report and of the page that compares, as templates."""
    report_output = _Below("reports/_output")
    crate = _Below("reports/_crate")
    """The run as an RO-Crate (`make crate`)."""
    figure_tables = _Below("reports/_output/figures")
    """What the report's figures show, a CSV file each."""
    picture = _Below("reports/summary.svg")
    """The report's first figure, for the README."""
    published_runs = _Below("data/published")
    """Small results that are kept in git, a folder for each run."""
    compared = _Below(".scratch/compare")
    """Where runs are laid out side by side to be compared."""
    scratch = _Below(".scratch")
    """Untracked working space on the same filesystem as the outputs, so renames are atomic."""
    logs = _Below(".scratch/logs")


def find_study(start: Path | None = None) -> StudyPaths:
    """The study around `start` (default: the working directory).

    Raises StudyError when neither it nor a folder above it holds a `params.yaml` and a `dvc.yaml`.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        study = StudyPaths(folder)
        if study.params.is_file() and study.pipeline.is_file():
            return study
    raise StudyError(
        f"{here}: no study here (no params.yaml beside a dvc.yaml, nor in a folder above): "
        "run this inside a checkout of the study"
    )
