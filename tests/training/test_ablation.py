"""The ablation's page: rows beside the mean of the seeds, and what chance alone changes."""

from __future__ import annotations

from typing import Any

from training.ablation import FIGURES, SEEDS, VARIANTS, as_markdown


def _row(name: str, figure: float) -> dict[str, Any]:
    figures = dict.fromkeys(FIGURES, figure)
    return {
        "name": name,
        "says": "",
        "auroc_by_source": {"phone": figure},
        "coughs": 2,
        "others": 3,
    } | figures


def _page(**others: float) -> str:
    seeds = [_row(name, figure) for name, figure in zip(SEEDS, (0.90, 0.92, 0.91), strict=True)]
    rows = [*seeds, *(_row(name, figure) for name, figure in others.items())]
    return as_markdown(
        {"variants": rows, "mn04": _row("mn04", 0.8), "code_version": "c", "data_hash": "d" * 64}
    )


def test_a_row_is_compared_with_the_mean_of_the_seeds() -> None:
    page = _page(worse=0.85, alike=0.895)
    assert "| worse | 0.8500 | -0.0600 |" in page
    assert "| alike | 0.8950 | -0.0150 |" in page
    assert f"| {SEEDS[1]} | 0.9200 |  |" in page


def test_only_what_exceeds_the_spread_of_the_seeds_is_called_beyond_chance() -> None:
    page = _page(worse=0.85, alike=0.895)
    assert "- AUROC: three seeds of one recipe lie 0.0200 apart; beyond that: worse (-0.0600)." in page
    assert "beyond that: alike" not in page
    assert "no row goes beyond that" in _page(alike=0.895)


def test_a_table_of_some_variants_names_the_others() -> None:
    page = _page(**{"no rooms": 0.9})
    (line,) = [line for line in page.splitlines() if line.startswith("Not trained for this table: ")]
    assert "with mixup" in line
    assert "no rooms" not in line


def test_every_variant_has_a_name_of_its_own_and_the_seeds_are_among_them() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert set(SEEDS) <= set(names)
