"""What counts now is told by the split, never by which manifest was written last."""

from __future__ import annotations

import pytest

from platform_assets.errors import Blocked
from platform_assets.training.present_split import present, present_split_id
from platform_assets.vocabulary import product_table


def write(bank, split: str, told: str) -> None:
    bank.stores.lake.table(product_table(bank.product.name, "evaluation_report")).write_document(
        split, {"of": told}, code_version="1", inputs={}, cause="test"
    )


def test_an_older_split_written_later_does_not_count(bank) -> None:
    bank.training_set()
    split = present_split_id(bank.stores, bank.product)
    write(bank, split, "present")
    write(bank, "2017-01-01_2_1_2", "written later")
    # as after a clock was set back: the other one is younger by its own time too
    assert present(bank.stores, bank.product, "evaluation_report").partition == split


def test_what_was_not_made_for_this_split_is_named(bank) -> None:
    bank.training_set()
    write(bank, "2017-01-01_2_1_2", "of another split")
    with pytest.raises(
        Blocked, match=r"no evaluation_report of split .* yet; materialize card_fraud/evaluation"
    ):
        present(bank.stores, bank.product, "evaluation_report")
