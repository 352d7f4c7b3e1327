"""A task put to a model under several conditions.

Shape suffixes as in transformer.py; N questions, C candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from induction.behave.conditions import (
    INTACT,
    SITES,
    Condition,
    induction_places,
    intervention,
)
from induction.behave.task import Task
from induction.model.hooks import Intervention, Record
from induction.model.interface import Measurable
from induction.model.kernels import cross_entropies
from induction.model.memory import fitting_batch


@dataclass(frozen=True)
class Answers:
    """loss: [N], nats, over the whole vocabulary. correct: [N], 1 where the answer is the most
    likely candidate, a share of 1 where several are equally so."""

    loss: np.ndarray
    correct: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What one model does with a task; right and wrong: where its attention goes.

    first: variant → attention of all heads at the last question of its first prompt, [n_layers,
    n_heads, T key], and that question's number.
    """

    answers: Mapping[Condition, Answers]
    right: "Attention"
    wrong: "Attention"
    first: Mapping[int, tuple[int, np.ndarray]]


@dataclass(frozen=True)
class Attention:
    """Attention from the questions to some places of each, summed over these places, mean over
    questions.

    found: [variants, n_layers, n_heads], in the intact run. uniform: [variants], what equal
    attention to all places so far would give. to_one: [N, n_layers, n_heads], of each question the
    mean over its places, NaN where it has none.
    """

    found: np.ndarray
    uniform: np.ndarray
    to_one: np.ndarray


@torch.no_grad()
def evaluate(
    model: Measurable, task: Task, wanted: Sequence[Condition], batch_size: int | None = None
) -> Outcome:
    """Answers under each condition, INTACT among them."""
    device, length = model.device, task.tokens.shape[1]
    batch_size = batch_size or fitting_batch(model.spec, device, length, 16, patterns=True)
    changed = [condition for condition in wanted if condition != INTACT]
    found: dict[Condition, list[Answers]] = {condition: [] for condition in (INTACT, *changed)}
    sizes = (model.spec.n_layers, model.spec.n_heads)
    right, wrong = (np.zeros((len(pairs), *sizes)) for pairs in (task.right, task.wrong))
    shown: dict[int, tuple[int, np.ndarray]] = {}
    for first in range(0, len(task.tokens), batch_size):
        rows = slice(first, first + batch_size)
        tokens_BT = task.tokens[rows].to(device)
        places_BTT = induction_places(task, rows).to(device)
        run = Record(SITES)
        found[INTACT].append(_answer(model, task, rows, tokens_BT, run, None))
        _read_attention(task, task.right, rows, run, right)
        _read_attention(task, task.wrong, rows, run, wrong)
        shown |= {} if first else _first_questions(task, run)
        for condition in changed:
            changes = intervention(condition, model.spec, run, places_BTT)
            found[condition].append(_answer(model, task, rows, tokens_BT, None, changes))
    whole = {
        condition: Answers(
            np.concatenate([part.loss for part in parts]),
            np.concatenate([part.correct for part in parts]),
        )
        for condition, parts in found.items()
    }
    places = (_means(task, task.right, right), _means(task, task.wrong, wrong))
    return Outcome(whole, *places, shown)


def _answer(
    model: Measurable,
    task: Task,
    rows: slice,
    tokens_BT: Tensor,
    record: Record | None,
    changes: Intervention | None,
) -> Answers:
    """Answers to the questions of some rows; questions stand in the order of rows."""
    resid_BTD = model.residual(tokens_BT, record, changes)
    asked = (task.example >= rows.start) & (task.example < rows.stop)
    row_N = torch.from_numpy(task.example[asked] - rows.start).to(resid_BTD.device)
    query_N = torch.from_numpy(task.query[asked]).to(resid_BTD.device)
    target_N = torch.from_numpy(task.target[asked]).to(resid_BTD.device)
    candidates_NC = torch.from_numpy(task.candidates[asked]).to(resid_BTD.device)
    resid_ND = resid_BTD[row_N, query_N]
    losses_N = cross_entropies(resid_ND, model.W_U, target_N)
    logits_NC = torch.einsum("nd,dnc->nc", resid_ND, model.W_U[:, candidates_NC]).float()
    of_target_N1 = logits_NC[candidates_NC == target_N[:, None]].view(-1, 1)
    better_N = (logits_NC > of_target_N1).any(dim=1)
    equal_N = (logits_NC == of_target_N1).sum(dim=1)
    correct_N = torch.where(better_N, 0.0, 1.0 / equal_N)
    return Answers(losses_N.float().cpu().numpy(), correct_N.cpu().numpy())


def _read_attention(
    task: Task, pairs: np.ndarray, rows: slice, run: Record, attention: np.ndarray
) -> None:
    """Fill in the attention of pairs of a question and a place: [pairs, layers, heads]."""
    question, key = pairs.T
    row = task.example[question]
    here = np.flatnonzero((row >= rows.start) & (row < rows.stop))
    places = (row[here] - rows.start, task.query[question[here]], key[here])
    row_R, query_R, key_R = (torch.from_numpy(place) for place in places)
    for layer in range(attention.shape[1]):
        pattern_BHTT = run["pattern", layer]
        index = (place.to(pattern_BHTT.device) for place in (row_R, query_R, key_R))
        at_row, at_query, at_key = index
        attention[here, layer] = pattern_BHTT[at_row, :, at_query, at_key].float().cpu().numpy()


def _first_questions(task: Task, run: Record) -> dict[int, tuple[int, np.ndarray]]:
    """As `Outcome.first`; the first prompt is the first row of the run."""
    found = {}
    for variant in range(len(task.variants)):
        asked = np.flatnonzero((task.variant == variant) & (task.example == 0))
        if len(asked):
            query, layers = int(task.query[asked[-1]]), sorted(n for _, n in run.values)
            patterns = [run["pattern", n][0, :, query].float().cpu() for n in dict.fromkeys(layers)]
            found[variant] = (int(asked[-1]), torch.stack(patterns).numpy())
    return found


def _means(task: Task, pairs: np.ndarray, attention: np.ndarray) -> Attention:
    """From the attention of each pair to means over the questions of each variant."""
    question = pairs[:, 0]
    variant = task.variant[question]
    count = np.bincount(task.variant, minlength=len(task.variants))
    found = np.zeros((len(task.variants), *attention.shape[1:]))
    np.add.at(found, variant, attention)
    uniform = np.zeros(len(task.variants))
    np.add.at(uniform, variant, 1.0 / (task.query[question] + 1))
    to_one = np.zeros((len(task.variant), *attention.shape[1:]))
    np.add.at(to_one, question, attention)
    places = np.bincount(question, minlength=len(to_one))[:, None, None]
    to_one = np.divide(to_one, places, out=np.full_like(to_one, np.nan), where=places > 0)
    return Attention(found / count[:, None, None], uniform / count, to_one)
