"""Which forms of prompts a small language model carries: `make bench-prompts`.

The tasks of argument 4 need a form: what stands between a word and its label, which labels, how
many lines, plain or in the model's chat template, translations line by line or word by word. Each
form is tried here on words that the tasks do not use: the search has no part in the verdict.
Writes benchmarks/prompt_forms.json and prints its table. `labels help`: by how many nats the answer
is likelier than with the labels of the lines dealt out anew. With --only TEXT, forms with TEXT in
their name are tried again and the others kept.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer

from induction.behave.lines import endless, shared_start
from induction.config import ExternalModel, load_config
from induction.environment import environment
from induction.external.gguf_files import local_entry
from induction.files import read_json, write_json
from induction.paths import find_study
from induction.rules.intervals import mean_interval

MODEL, PROMPTS, SEED = "smollm2-135m", 48, 1
TOOLS = (
    *("hammer", "saw", "drill", "wrench", "shovel", "rake", "axe", "chisel", "pliers", "ladder"),
    *("screwdriver", "hoe", "file", "knife", "scissors", "broom", "bucket", "brush", "needle"),
)
CLOTHES = (
    *("shirt", "hat", "coat", "dress", "scarf", "glove", "sock", "shoe", "boot", "jacket"),
    *("skirt", "belt", "sweater", "vest", "tie", "cap", "robe", "apron", "jeans"),
)
WORDS = (TOOLS, CLOTHES)
METALS = (
    *("iron", "gold", "silver", "copper", "zinc", "tin", "lead", "nickel", "steel", "bronze"),
    *("brass", "platinum", "cobalt", "titanium"),
)
ROOMS = (
    *("kitchen", "bedroom", "bathroom", "hall", "attic", "cellar", "garage", "study", "library"),
    *("porch", "pantry", "office", "nursery", "lobby"),
)
FRENCH = {
    **{"dog": "chien", "house": "maison", "water": "eau", "bread": "pain", "book": "livre"},
    **{"tree": "arbre", "milk": "lait", "night": "nuit", "woman": "femme", "window": "fenêtre"},
    **{"friend": "ami", "school": "école", "heart": "cœur", "king": "roi", "hand": "main"},
    **{"door": "porte", "green": "vert", "white": "blanc", "sea": "mer", "sun": "soleil"},
}
NAMES = {"natural": ("tool", "garment"), "flipped": ("garment", "tool"), "0 1": ("0", "1")}
NAMES |= {"A B": ("A", "B"), "foo bar": ("foo", "bar")}
SEPARATORS = {"colon": ":", "arrow": " ->", "equals": " ="}

Random = np.random.Generator


@dataclass(frozen=True)
class Asked:
    """A prompt as text, the same with its labels dealt out anew, and what may follow, the answer
    first. Both without a label at the end."""

    text: str
    shuffled: str | None
    answers: tuple[str, ...]


Form = Callable[[Random], Asked]


def few_shot(labels: Sequence[str], separator: str, shots: int) -> Form:
    """Lines of a tool or a garment with a label; labels without meaning change sides by chance."""

    def make(random: Random) -> Asked:
        own = list(labels)
        if set(own) != {"tool", "garment"}:
            random.shuffle(own)
        sides = random.integers(2, size=shots + 1)
        words = [endless(each, random) for each in WORDS]
        drawn = [next(words[side]) for side in sides]
        dealt = random.permutation(sides[:-1])
        return _asked(drawn, sides, dealt, own, separator)

    return make


def patterns(separator: str, lines: int) -> Form:
    """Lines of a metal or room and a tool or garment, with one of four labels for the pair."""

    def make(random: Random) -> Asked:
        own = list(random.permutation(list("0123")))
        kinds = np.append(random.permutation(4), random.integers(4, size=lines - 3))
        lists = [[endless(each, random) for each in two] for two in ((METALS, ROOMS), WORDS)]
        drawn = [f"{next(lists[0][kind // 2])} {next(lists[1][kind % 2])}" for kind in kinds]
        return _asked(drawn, kinds, random.permutation(kinds[:-1]), own, separator)

    return make


def _asked(
    words: Sequence[str],
    kinds: np.ndarray,
    dealt: np.ndarray,
    labels: Sequence[str],
    separator: str,
) -> Asked:
    def text(shown: np.ndarray) -> str:
        lines = [f"{w}{separator} {labels[k]}\n" for w, k in zip(words, shown, strict=False)]
        return "".join(lines[: len(words) - 1]) + f"{words[-1]}{separator}"

    answer = labels[kinds[-1]]
    others = [label for label in dict.fromkeys(labels) if label != answer]
    return Asked(text(kinds), text(dealt), (f" {answer}", *(f" {label}" for label in others)))


def translation(separator: str, phrases: int = 8) -> Form:
    """Pairs of words, each on its line (with a separator), or all in one language before all in
    the other (without)."""

    def make(random: Random) -> Asked:
        chosen = [str(word) for word in random.permutation(list(FRENCH))[:phrases]]
        others = [FRENCH[word] for word in chosen[:-1]]
        if separator:
            lines = [f"{word}{separator} {FRENCH[word]}\n" for word in chosen[:-1]]
            text = "".join(lines) + f"{chosen[-1]}{separator}"
        else:
            text = "".join(f" {word}," for word in chosen) + "\n"
            text += "".join(f" {word}," for word in others)
        return Asked(text, None, (f" {FRENCH[chosen[-1]]}", *(f" {word}" for word in others)))

    return make


def forms() -> Iterator[tuple[str, bool, Form]]:
    """Name, whether in the chat template, and what makes its prompts."""
    for separator, text in SEPARATORS.items():
        for labels, both in NAMES.items():
            yield f"few-shot, {labels}, {separator}, 16 shots", False, few_shot(both, text, 16)
        yield f"patterns, {separator}, 16 lines", False, patterns(text, 16)
        yield f"translation, line by line, {separator}", False, translation(text)
    for labels in ("natural", "flipped", "0 1", "foo bar"):
        yield f"few-shot, {labels}, chat, 16 shots", True, few_shot(NAMES[labels], ":", 16)
    yield "patterns, chat, 16 lines", True, patterns(":", 16)
    yield "few-shot, 0 1, colon, 48 shots, words return", False, few_shot(NAMES["0 1"], ":", 48)
    yield "patterns, colon, 48 lines, words return", False, patterns(":", 48)
    yield "translation, in blocks", False, translation("")


class Model:
    """The model with its tokenizer, as `transformers` has them."""

    def __init__(self, entry: ExternalModel) -> None:
        folder = find_study().root / entry.source
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def logs(self, text: str, answers: Sequence[str], chat: bool) -> np.ndarray:
        """Log-probability of the first token of each answer: [answers]."""
        if chat:
            said = [{"role": "user", "content": text}]
            ids = self.tokenizer.apply_chat_template(
                said, add_generation_prompt=True, return_dict=False
            )
            answers = [answer.strip() for answer in answers]
        else:
            ids = [self.tokenizer.bos_token_id, *self.tokenizer.encode(text)]
        encoded = [self.tokenizer.encode(answer, add_special_tokens=False) for answer in answers]
        own = shared_start(encoded)  # such as a space, where that is a token of its own
        ids, first = [*ids, *encoded[0][:own]], [tokens[own] for tokens in encoded]
        logits = self.model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
        return logits.log_softmax(0)[first].numpy()


def tried(model: Model, chat: bool, form: Form) -> dict:
    """Accuracy among the answers, and what the labels of the lines help, with intervals."""
    random = np.random.default_rng(SEED)
    asked = [form(random) for _ in range(PROMPTS)]
    logs = [model.logs(one.text, one.answers, chat) for one in asked]
    # Answers that begin alike cannot be told apart.
    correct = np.array([(each[0] >= each.max()) / (each == each.max()).sum() for each in logs])
    found = {"accuracy": correct.mean(), "interval": mean_interval(correct) or (0.0, 1.0)}
    found |= {"chance": 1 / len(logs[0]), "prompts": PROMPTS}
    if asked[0].shuffled is None:
        return {**found, "labels_help": None, "labels_help_interval": None}
    control = [model.logs(one.shuffled or "", one.answers, chat)[0] for one in asked]
    gain = np.array([each[0] for each in logs]) - np.array(control)
    return {
        **found,
        "labels_help": float(gain.mean()),
        "labels_help_interval": mean_interval(gain),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="forms with TEXT in their name")
    only = parser.parse_args().only
    paths = find_study()
    target = paths.root / "benchmarks" / "prompt_forms.json"
    known = {row["form"]: row for row in read_json(target)["forms"]} if only else {}
    entry = load_config(paths.root / "params" / "pretrained.yaml").external[MODEL]
    torch.set_num_threads(entry.threads or 1)
    model = Model(local_entry(paths, MODEL, entry))
    every = list(forms())
    wanted = [one for one in every if only in one[0]]
    for name, chat, form in track(wanted, description="forms"):
        known[name] = {"form": name, **tried(model, chat, form)}
    rows = [known[name] for name, *_ in every]
    about = {"model": MODEL, "seed": SEED, "environment": environment(paths.lock)}
    write_json(target, {**about, "forms": rows})
    table = Table("form", "accuracy", "chance", "labels help (nats)")
    for row in rows:
        low, high = row["interval"]
        helped = row["labels_help"]
        table.add_row(
            row["form"],
            f"{row['accuracy']:.2f} ({low:.2f} to {high:.2f})",
            f"{row['chance']:.3f}",
            "" if helped is None else f"{helped:+.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
