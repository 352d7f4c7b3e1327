"""The paper's claims beside the study's numbers."""

from dataclasses import replace

import pytest
from made_summary import made_results, model

from induction.report.claims import claims
from induction.report.results import Results
from induction.study.verdicts import Check, Verdict
from induction.study.verdicts.verdict import Kind


def check(kind: Kind, *models: str, **numbers: float | None) -> Check:
    return Check(kind, "", models, numbers, True)


def made(**checks: list[Check]) -> Results:
    intervals = {"icl_score": (-0.4, -0.2)}
    zoo = [model("one", 1), model("two", 2), model("smeared", 2, smeared=True)]
    return made_results(
        *(replace(each, icl_score=-0.3, intervals=intervals) for each in zoo),
        verdicts=[
            Verdict(n, "", "causal", {}, "inconclusive", tuple(checks.get(f"argument_{n}", [])))
            for n in range(1, 7)
        ],
    )


def cells(results: Results, claim: str) -> list[str]:
    (row,) = (line for line in claims(results).splitlines() if claim in line)
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_scores_are_those_of_plain_models_of_more_layers():
    assert cells(made(), "improves abruptly")[2] == "`two` −0.30\u00a0[−0.40,\u00a0−0.20]"


@pytest.mark.parametrize(
    ("claim", "argument", "checks", "ours"),
    [
        (
            "One layer",
            1,
            [
                check("no change in one layer", "one", onset_tokens=None, max_prefix_matching=0.02),
                check("no change in one layer", "other", onset_tokens=9, max_prefix_matching=0.3),
                check("change and heads together", "two", onset_tokens=9),
            ],
            "1 of 2 change; best prefix matching 0.30",
        ),
        (
            "Smeared keys",
            2,
            [
                check(
                    "change earlier with smeared keys",
                    *("smeared", "two"),
                    onset_tokens=5e5,
                    plain_onset_tokens=None,
                )
            ],
            "`smeared` 500k against `two` none",
        ),
        (
            "comes from induction heads",
            3,
            [
                check(
                    "induction heads carry the gain",
                    *("two", "one"),
                    removed_share=1.03,
                    removed_low=0.85,
                    removed_high=1.2,
                ),
                check("other heads do not", "two", "one", removed_share=0.1, draws=3.0),
            ],
            "`two` 103\u00a0%\u00a0[85\u00a0%,\u00a0120\u00a0%]",
        ),
        (
            "abstract patterns",
            4,
            [
                check("induction heads look right", "two", right_share=0.7, right_share_low=0.6),
                check("induction heads look right", "one", right_share=None, right_share_low=None),
            ],
            "`two` 70\u00a0%, at least 60\u00a0%",
        ),
        (
            "through a previous-token head",
            5,
            [
                check("circuit as theory says", "two", ov_eigenvalue=0.9, qk_eigenvalue=None),
                check("circuit as theory says", "two", ov_eigenvalue=1.0, qk_eigenvalue=0.8),
            ],
            "2 heads: OV 0.90 to 1.00, QK 0.80 to 0.80",
        ),
        (
            "continuously",
            6,
            [check("neighbouring depths are close", "two", "six", onset_step=0.1, icl_step=-0.02)],
            "`two` to `six`: onset 0.10 e-folds, ICL score −0.02 nats",
        ),
    ],
)
def test_a_claim_has_the_numbers_of_its_checks(claim, argument, checks, ours):
    row = cells(made(**{f"argument_{argument}": checks}), claim)
    assert (row[2], row[4]) == (ours, f"inconclusive ({argument})")
    assert cells(made(), claim)[2] == "no such model"
