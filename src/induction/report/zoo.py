"""What was done: sentences on the text, and on the models of others."""

from induction.external.left_out import LEFT_OUT
from induction.report.results import Results
from induction.report.sentences import sentence


def corpus_sentence(results: Results) -> str:
    return sentence("zoo", "corpus", corpus=results.corpus)


def models_sentence(results: Results) -> str:
    """Where the table of models is; and, where there are any, what sets models of others apart."""
    return sentence("zoo", "models", others=list(results.config.external))


def readings_text(results: Results) -> str:
    """How each model of others was read, a paragraph each; nothing where there are none."""
    readings = results.readings.items()
    return "\n\n".join(
        sentence("zoo", "reading", model=name, reading=own) for name, own in readings
    )


def circuits_sentence(results: Results) -> str:
    """What circuits leave out, by family of models of others; nothing where there are none."""
    return sentence("zoo", "circuits", families=LEFT_OUT) if results.config.external else ""
