"""How a model of others was read, as it stands beside its measurements and in the report."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class LeftOut:
    """A revision that is not measured, and why."""

    name: str
    step: Annotated[int, Field(ge=0)]
    reason: str


@dataclass(frozen=True)
class StartToken:
    """id and text of the token; why: what says that it is the one."""

    id: int
    text: str
    why: str


@dataclass(frozen=True)
class Shared:
    """Tensors that are equal to the last bit in some revisions; of: how many were compared."""

    revisions: list[str]
    tensors: list[str]
    of: int

    def __str__(self) -> str:
        few = ", ".join(self.tensors[:3]) + (", …" if self.tensors[3:] else "")
        return (
            f"{', '.join(self.revisions)}: the same in {len(self.tensors)} of {self.of} matrices "
            f"({few})"
        )


@dataclass(frozen=True)
class Reading:
    """source, tokenizer: where they are. weights: what they were before they were converted; empty
    where they were not. left_out: revisions that are not measured. shared: what
    revisions have in common that training would have changed."""

    source: str
    weights: str
    tokenizer: str
    start_token: StartToken
    left_out: list[LeftOut]
    shared: list[Shared]
