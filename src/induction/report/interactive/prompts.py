"""The prompts of the abstract tasks, each with the attention of one induction head."""

from induction.report.interactive.page import data, raw_html, template
from induction.report.interactive.view import visible
from induction.report.prompts import Prompt, chosen_prompt, prompts
from induction.report.results import Results


def prompt_explorer(results: Results) -> str:
    """A raw HTML block: choose a model and a task; the prompt is shaded by a head's attention.
    Nothing where no model has induction heads."""
    every, chosen = prompts(results), chosen_prompt(results)
    if chosen is None:
        return ""
    values = {
        "prompts": [_values(prompt) for prompt in every],
        "start": next(
            k
            for k, prompt in enumerate(every)
            if (prompt.model, prompt.task) == (chosen.model, chosen.task)
        ),
    }
    return raw_html(f"{template('prompts.html')}\n{data('prompts-data', values)}")


def _values(prompt: Prompt) -> dict:
    tokens = prompt.tokens
    return {
        "name": f"{prompt.model}, {prompt.task}",
        "head": prompt.head,
        "answer": visible(prompt.answer),
        "texts": [visible(text) for text in tokens["text"]],
        "attention": tokens["attention"].round(4).to_list(),
        "places": tokens["place"].to_list(),
        "sums": [round(prompt.to(place), 4) for place in ("right", "wrong")],
    }
