"""Free generation, and how much of it repeats what stood before."""

import numpy as np
import torch
from torch import Tensor

from induction.model.interface import Measurable

_NGRAM = 4


@torch.no_grad()
def continuations(model: Measurable, prompts_BT: Tensor, new_tokens: int, seed: int) -> Tensor:
    """Tokens sampled at temperature 1 behind each prompt, [B, new_tokens].

    The same seed draws the same noise, whatever the model: two models that predict alike write
    alike, so a difference between their texts is theirs. Every token reads all before it again,
    which is what any model can do; keys and values that are kept would need each family's own code.
    """
    # On the CPU, since a GPU's generator gives other numbers.
    random = torch.Generator().manual_seed(seed)
    tokens_BT = prompts_BT.to(model.device)
    for _ in range(new_tokens):
        logits_BV = (model.residual(tokens_BT)[:, -1] @ model.W_U).float().cpu()
        # The largest of logits with Gumbel noise is a sample of their softmax (Gumbel-max).
        noise_BV = -torch.empty_like(logits_BV).exponential_(generator=random).log()
        next_B = (logits_BV + noise_BV).argmax(dim=-1)
        tokens_BT = torch.cat([tokens_BT, next_B[:, None].to(tokens_BT.device)], dim=1)
    return tokens_BT[:, prompts_BT.shape[1] :].cpu()


def repeated_share(prompt: np.ndarray, continuation: np.ndarray) -> float:
    """Of the 4-grams of a continuation, the share that stood before, in the prompt or in itself.

    prompt, continuation: [tokens] each, the latter of 4 or more. Within a text alone this is the
    repetition of Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training"; here a
    continuation can repeat its prompt, too. 0: nothing is repeated; close to 1: a loop.
    """
    tokens = np.concatenate([prompt, continuation]).tolist()
    seen: set[tuple[int, ...]] = set()
    repeated = 0
    for place in range(len(tokens) - _NGRAM + 1):
        ngram = tuple(tokens[place : place + _NGRAM])
        repeated += place >= len(prompt) and ngram in seen
        seen.add(ngram)
    return repeated / (len(continuation) - _NGRAM + 1)
