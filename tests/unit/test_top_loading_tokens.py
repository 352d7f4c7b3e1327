"""The heaviest tokens of a component are shown with the text before them."""

import numpy as np
import pytest

from induction.data.tokenizer import train_tokenizer
from induction.study.top_loading_tokens import top_loading_tokens

TEXT = "the café | <b>costs</b> 3 €, said the cat to the café\n" * 40
TOKENIZER = train_tokenizer([TEXT], 270)
IDS = TOKENIZER.encode(TEXT).ids
N_CTX = 30
TOKENS = np.array([IDS[k : k + N_CTX + 1] for k in (0, 7, 19)])
KEPT = np.array([[0, 12], [3, 29], [5, 8]])


def table(components: np.ndarray, count: int = 6, context: int = 20):
    return top_loading_tokens(components, TOKENS, KEPT, TOKENIZER, count, context)


def test_rows_name_the_predicted_token_of_the_right_example_and_index():
    rows = table(np.array([[0.1, 0.2, -0.9, 0.3, 0.0, -0.05]]))
    assert rows["weight"].to_list() == [-0.9, 0.3, 0.2, 0.1, -0.05, 0.0]
    assert rows["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    assert rows.select("example", "index").rows()[:3] == [(1, 3), (1, 29), (0, 12)]
    assert rows["token"][0] == TOKENIZER.decode([TOKENS[1, 4]])
    assert rows["context"][0] == TOKENIZER.decode(TOKENS[1, :4].tolist())
    assert rows["context"][1] == TOKENIZER.decode(TOKENS[1, 10:30].tolist())


@pytest.mark.parametrize("context", [1, 5])
def test_the_context_ends_where_the_token_starts(context):
    for row in table(np.eye(2, 6), context=context).iter_rows(named=True):
        at = row["index"] + 1
        ids = TOKENS[row["example"], max(0, at - context) : at + 1].tolist()
        whole = TOKENIZER.decode(ids)
        if "�" not in row["context"] + row["token"]:
            assert row["context"] + row["token"] == whole


def test_components_are_counted_from_one_and_cut_at_the_count():
    rows = table(np.arange(12.0).reshape(2, 6), count=2)
    assert rows.select("component", "rank", "weight").rows() == [
        (1, 1, 5.0),
        (1, 2, 4.0),
        (2, 1, 11.0),
        (2, 2, 10.0),
    ]


def test_start_tokens_and_parts_of_characters_are_shown():
    tokens = TOKENS.copy()
    tokens[0, 0] = 0
    euro = TOKENIZER.encode("☃").ids
    assert len(euro) == 3  # three bytes that no merge joins
    tokens[0, 1] = euro[0]
    rows = top_loading_tokens(np.eye(1, 6), tokens, KEPT, TOKENIZER, 1, 20)
    assert rows["context"][0] == "<|start|>"
    assert rows["token"][0] == "�"
