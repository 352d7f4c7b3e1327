"""Questions asked since the paper, by rules that reports/beyond.md wrote down first."""

from dataclasses import dataclass

from induction.study.beyond.bigrams import BigramStage
from induction.study.beyond.control import Control
from induction.study.beyond.foresight import Foresight
from induction.study.beyond.llc import Geometry


@dataclass(frozen=True)
class Beyond:
    """All that was found, as beyond.json has it."""

    bigrams: BigramStage
    foresight: Foresight
    control: Control
    geometry: Geometry
