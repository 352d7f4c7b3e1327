"""The paths of a study: where its results, its parameters and its own notes lie."""

from dataclasses import dataclass
from pathlib import Path

from induction.errors import StudyError


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

    @property
    def own(self) -> Path:
        """The user's own files, as DVC watches them."""
        return self.root / "data" / "own"

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def pipeline(self) -> Path:
        return self.root / "dvc.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "requirements.lock"

    @property
    def stages_lock(self) -> Path:
        """What DVC recorded of the last run: hashes and parameters of every stage."""
        return self.root / "dvc.lock"

    @property
    def citation(self) -> Path:
        """Authors, title and licence of the study."""
        return self.root / "CITATION.cff"

    @property
    def sources(self) -> Path:
        """The pinned list of wheels, in pip's requirement syntax."""
        return self.root / "data" / "sources.txt"

    def wheel_lists(self, *, prose: bool) -> list[Path]:
        """`sources`, and for a study of prose the list of more wheels that hold some."""
        return [self.sources, *([self.root / "data" / "prose_sources.txt"] if prose else [])]

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw"

    @property
    def tokens(self) -> Path:
        return self.root / "data" / "tokens"

    @property
    def tokens_manifest(self) -> Path:
        return self.tokens / "manifest.json"

    @property
    def tokens_meta(self) -> Path:
        return self.tokens / "meta.json"

    def snapshots(self, model: str) -> Path:
        return self.root / "data" / "snapshots" / model

    def external(self, model: str) -> Path:
        """What is measured of a model that others trained: its revisions, not their weights."""
        return self.root / "data" / "external" / model

    @property
    def hub(self) -> Path:
        """Downloaded weights."""
        return self.scratch / "hub"

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

    @property
    def explorer(self) -> Path:
        """What every model does on a few passages, for the report's attention explorer."""
        return self.root / "data" / "explorer"

    @property
    def results(self) -> Path:
        return self.root / "data" / "results"

    @property
    def metrics(self) -> Path:
        return self.results / "metrics.json"

    @property
    def verdicts(self) -> Path:
        return self.results / "verdicts.json"

    @property
    def details(self) -> Path:
        """What the report shows beyond the metrics: heads, circuits, attribution of each model."""
        return self.results / "details.json"

    @property
    def seeds(self) -> Path:
        """The verdicts and the bumps of the mean loss over seeds; both empty where no kind of
        model has seeds enough."""
        return self.results / "seeds.json"

    @property
    def beyond(self) -> Path:
        """Questions asked since the paper, with what was found."""
        return self.results / "beyond.json"

    @property
    def steering_curves(self) -> Path:
        """What scaling the induction heads, or as many others, does to each measure."""
        return self.results / "steering.csv"

    @property
    def windows(self) -> Path:
        return self.results / "windows.csv"

    @property
    def pca(self) -> Path:
        """Explained variance, and the angle of each trajectory at its band."""
        return self.results / "pca.json"

    @property
    def pca_scores(self) -> Path:
        return self.results / "pca.parquet"

    @property
    def pca_basis(self) -> Path:
        """Mean and components, so that another run can be shown in the same space."""
        return self.results / "pca_basis.npz"

    @property
    def pca_tokens(self) -> Path:
        """The tokens that weigh most on each component."""
        return self.results / "pca_tokens.parquet"

    @property
    def curves(self) -> Path:
        """Curves over training of all models, for DVC's plots."""
        return self.results / "curves.csv"

    @property
    def portability(self) -> Path:
        """Headline numbers of one model on another kind of processor (`make bench-portability`)."""
        return self.root / "data" / "portability.json"

    @property
    def last_run(self) -> Path:
        """What the last whole run of `make study` took, by stage, as the runner saw it."""
        return self.scratch / "last_run.json"

    @property
    def verified(self) -> Path:
        """Objects of DVC's cache that were found whole (see runner/cache.py)."""
        return self.scratch / "verified.json"

    @property
    def timings(self) -> Path:
        return self.root / "data" / "timings"

    def timing(self, stage: str) -> Path:
        """Duration of one stage. Beside the results, never inside: it differs between runs."""
        return self.timings / f"{stage}.json"

    @property
    def report_source(self) -> Path:
        return self.root / "reports"

    @property
    def report_text(self) -> Path:
        """The sentences of the report and of the page that compares, as templates."""
        return self.report_source / "text"

    @property
    def report_output(self) -> Path:
        return self.root / "reports" / "_output"

    @property
    def crate(self) -> Path:
        """The run as an RO-Crate (`make crate`)."""
        return self.report_source / "_crate"

    @property
    def figure_tables(self) -> Path:
        """What the report's figures show, a CSV file each."""
        return self.report_output / "figures"

    @property
    def picture(self) -> Path:
        """The report's first figure, for the README."""
        return self.report_source / "summary.svg"

    @property
    def published_runs(self) -> Path:
        """Small results that are kept in git, a folder for each run."""
        return self.root / "data" / "published"

    @property
    def compared(self) -> Path:
        """Where runs are laid out side by side to be compared."""
        return self.scratch / "compare"

    @property
    def scratch(self) -> Path:
        """Untracked working space on the same filesystem as the outputs, so renames are atomic."""
        return self.root / ".scratch"

    @property
    def logs(self) -> Path:
        return self.scratch / "logs"


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
