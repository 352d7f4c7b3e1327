"""What values of params.yaml are made of: their types and ranges, and a mapping of them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# Upper limits stand far above any study: what is beyond them is a slip, and would only fail later,
# for want of memory or time.
Count = Annotated[int, Field(ge=1, le=10**15)]
Natural = Annotated[int, Field(ge=0, le=10**15)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]  # what PyTorch's generators take
Size = Annotated[int, Field(ge=1, le=2**17)]  # of a matrix
BatchTokens = Annotated[int, Field(ge=1, le=10**8)]
Many = Annotated[int, Field(ge=1, le=10**6)]  # things that are held in memory at once
Positive = Annotated[float, Field(gt=0, le=1e15)]
Share = Annotated[float, Field(gt=0, lt=1)]
Window = tuple[Natural, Natural]
# Model names become names of folders and of DVC's stages. No capitals: some file systems take them
# for small letters.
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Title = Annotated[str, StringConstraints(pattern=r"^\w[\w .-]{0,59}$")]
Revision = Annotated[str, StringConstraints(pattern=r"^[^\W_][\w=+,@ ./-]{0,99}$")]
Glob = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")]
HubText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")]


class Section(BaseModel):
    """A mapping of params.yaml: unchangeable, no key unknown, none left out without a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
