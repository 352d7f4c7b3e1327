"""Questions asked since the paper, by rules that reports/beyond.md wrote down first."""

from dataclasses import dataclass, field

from induction.study.beyond.batch import BatchLaw
from induction.study.beyond.bigrams import BigramStage
from induction.study.beyond.bottleneck import Bottleneck
from induction.study.beyond.control import Control
from induction.study.beyond.foresight import Foresight
from induction.study.beyond.hapax import Copying
from induction.study.beyond.llc import Geometry
from induction.study.beyond.repetition import Repetition


@dataclass(frozen=True)
class Beyond:
    """All that was found, as beyond.json has it. What needs models of its own is not tested without
    them."""

    bigrams: BigramStage
    foresight: Foresight
    control: Control
    geometry: Geometry
    batch: BatchLaw = field(default_factory=BatchLaw)
    copying: Copying = field(default_factory=Copying)
    bottleneck: Bottleneck = field(default_factory=Bottleneck)
    repetition: Repetition = field(default_factory=Repetition)
