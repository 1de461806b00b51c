import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.bounding import Block, Layout, layout
from quorum.errors import BadInput
from quorum.metrics import Metric
from tests.bounded_vectors import Unit, distance, vector

KEYS = tuple("abcdefgh")


def metric(kind: str, name: str = "m", **told: Any) -> Metric:
    return Metric(name, kind, "an estimand", **told)


def cells(count: int, max_cells: int) -> Metric:
    return metric("distinct_users", f"cells{count}", keys=tuple(f"k{n}" for n in range(count)), max_cells=max_cells)


def bins(count: int) -> Metric:
    return metric("histogram", f"bins{count}", keys=tuple(f"b{n}" for n in range(count)))


def amount(low: int, high: int, name: str = "amount") -> Metric:
    return metric("mean", name, low=low, high=high)


def values(block: Block) -> st.SearchStrategy[Any]:
    """Return what a unit may do: far outside of the bounds too."""
    if block.bound == "clamp":
        return st.sampled_from([block.low, block.high, 0, -(2**63), 2**63 - 1]) | st.integers(-50, 50)
    return st.frozensets(st.integers(0, len(block.cells) - 1))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Layout, list[Unit], Unit]:
    metrics = [
        *draw(st.lists(st.builds(cells, st.integers(1, 8), st.integers(1, 8)), max_size=1)),
        *draw(st.lists(st.builds(bins, st.integers(2, 6)), max_size=1)),
        *draw(st.lists(st.builds(amount, st.integers(-9, 0), st.integers(1, 40)), max_size=1)),
        *draw(st.lists(st.builds(amount, st.integers(-9, 0), st.integers(1, 40), st.just("other")), max_size=1)),
    ]
    cap = draw(st.integers(1, 6))
    found = layout(metrics, {}, cap)
    unit = st.tuples(*(values(block) for block in found.blocks))
    return found, draw(st.lists(unit, max_size=2 * cap + 2)), draw(unit)


class TestSensitivity:
    @settings(max_examples=500)
    @given(worlds())
    def test_no_small_world_moves_further_than_declared(self, world: tuple[Layout, list[Unit], Unit]) -> None:
        found, others, unit = world
        assert distance(found, others, unit) <= found.sensitivity

    @given(worlds())
    def test_what_users_add_up_to_can_be_held_and_no_more(self, world: tuple[Layout, list[Unit], Unit]) -> None:
        layout, others, unit = world
        found = vector(layout, [others, [unit], others])
        assert layout.can_hold(found)
        users = found[0] // layout.count_scale
        assert not layout.can_hold([found[0] + 1, *found[1:]]), "a part of a user"
        ends = [block.ends for block in layout.blocks for _ in block.cells]
        for place, (low, high) in enumerate(ends, start=1):
            for beyond in (users * low - 1, users * high + 1):
                assert not layout.can_hold([*found[:place], beyond, *found[place + 1 :]])

    @settings(max_examples=100)
    @given(worlds(), st.data())
    def test_other_contributors_neither_add_nor_hide(
        self, world: tuple[Layout, list[Unit], Unit], data: st.DataObject
    ) -> None:
        found, others, unit = world
        beside = data.draw(st.lists(st.tuples(*(values(block) for block in found.blocks)), max_size=8))
        together = math.dist(vector(found, [beside, others]), vector(found, [beside, [*others, unit]]))
        assert together == distance(found, others, unit)

    @pytest.mark.parametrize(
        "metrics",
        [
            [cells(10, 5)],
            [cells(22, 5)],
            [cells(55, 5)],
            [bins(5)],
            [amount(0, 30)],
            [amount(-10, 30)],
            [amount(0, 7), amount(0, 600, "other"), bins(4)],
            [cells(10, 2), amount(0, 50)],
        ],
        ids=str,
    )
    @pytest.mark.parametrize("cap", [10, 50])
    def test_the_worst_case_touches_the_bound(self, metrics: list[Metric], cap: int) -> None:
        found = layout(metrics, {}, cap)
        extremes = [self.extremes(block) for block in found.blocks]
        worst = max(
            distance(found, [theirs] * others, its)
            for others in (0, cap - 1, cap, cap + 1)
            for theirs, its in product(product(*extremes), repeat=2)
        )
        # so a bound planted a tenth too small is found
        assert 0.99 * found.sensitivity < worst <= found.sensitivity

    def extremes(self, block: Block) -> list[Any]:
        if block.bound == "clamp":
            return [block.low, block.high]
        if block.bound == "bins":
            return [frozenset({0}), frozenset({1})]
        one = frozenset(range(block.max_cells))
        return [frozenset(), one, frozenset(n + len(block.cells) - block.max_cells for n in one)]

    def test_rounding_alone_can_move_every_cell_by_one(self) -> None:
        [block] = layout([cells(8, 1)], {}, 8).blocks
        found = Layout((Block("m", "cells", block.cells, 0, 0, 1, 1, 0),), 8)
        others: list[Unit] = [(frozenset({key}),) for key in range(8)]
        assert distance(found, others, (frozenset(),)) == math.sqrt(8)
        assert found.sensitivity > math.sqrt(8)

    def test_the_border_of_the_cap_belongs_to_both_sides(self) -> None:
        found = layout([cells(4, 1)], {}, 3)
        [block] = found.blocks
        everything: Unit = (frozenset(range(4)),)
        below = distance(found, [everything] * 2, everything)  # two others: the third still counts
        assert below == pytest.approx(math.hypot(math.sqrt(4) * (block.scale // 2), found.count_scale))
        assert distance(found, [everything] * 3, everything) == 0

    def test_a_weight_is_never_rounded_up(self) -> None:
        """The proof needs squares that add up to no more than max_cells, also where a square root is a float."""
        for max_cells, count in product(range(1, 40), range(1, 400)):
            if count > max_cells:
                scale = math.floor(1_000_000 / math.sqrt(2 * max_cells))
                weight = math.floor(scale * math.sqrt(max_cells / count))
                assert weight**2 * count <= max_cells * scale**2


class TestScales:
    @pytest.mark.parametrize(("count", "bounded"), [(1, 1), (5, 5), (10, 10), (11, 5), (55, 5)])
    def test_from_half_of_the_keys_on_nothing_is_bounded(self, count: int, bounded: int) -> None:
        [block] = layout([cells(count, 5)], {}, 50).blocks
        assert block.max_cells == bounded
        assert (block.centre > 0) == (bounded == count)

    @given(worlds())
    def test_the_count_takes_what_the_cap_leaves_free(self, world: tuple[Layout, list[Unit], Unit]) -> None:
        found = world[0]
        if found.blocks and all(len(block.cells) > 1 or block.bound == "clamp" for block in found.blocks):
            radius2, diameter2 = (
                sum(getattr(block, name) for block in found.blocks) for name in ("radius2", "diameter2")
            )
            free = (found.tenant_cap**2) * diameter2
            least = math.isqrt(diameter2) // 2
            used = [(radius2 + s**2) * (found.tenant_cap + 1) ** 2 for s in (found.count_scale, found.count_scale + 1)]
            assert found.count_scale == least or used[0] <= free < used[1]

    def test_a_wish_for_less_error_takes_a_larger_share(self) -> None:
        def errors(*wanted: str | None) -> list[float]:
            told = [metric("mean", f"m{n}", low=0, high=10, wanted_error=w) for n, w in enumerate(wanted)]
            found = layout(told, {}, 50)
            return [found.sensitivity / block.scale for block in found.blocks]

        equal, wished = errors(None, None), errors("0.1", "1.6")
        assert equal[0] == pytest.approx(equal[1])
        # shares are as range over wanted error, 16 to 1: so the errors are as 1 to 4
        assert wished[1] / wished[0] == pytest.approx(4, rel=1e-3)
        assert wished[0] < equal[0] < wished[1]

    @given(st.floats(0.01, 0.99))
    def test_no_other_split_has_less_error_for_what_is_wanted(self, part: float) -> None:
        """The sum over metrics of (error / wanted error) squared, for a split of the squared sensitivity."""
        ranges, wanted = (10, 400), (0.1, 9.0)

        def loss(parts: tuple[float, float]) -> float:
            return sum((d / w) ** 2 / p for d, w, p in zip(ranges, wanted, parts, strict=True))

        told = [
            metric("mean", f"m{n}", low=0, high=high, wanted_error=w)
            for n, (high, w) in enumerate(zip(ranges, wanted, strict=True))
        ]
        blocks = layout(told, {}, 50).blocks
        total = sum(block.diameter2 for block in blocks)
        chosen = (blocks[0].diameter2 / total, blocks[1].diameter2 / total)
        assert loss(chosen) <= loss((part, 1 - part)) * (1 + 1e-4)

    def test_one_measurement_of_all_beats_one_each(self) -> None:
        """The same rho, split by metric: each count and each sum by itself against all of them as one vector."""
        metrics = [amount(0, 30, "a"), amount(0, 600, "b"), amount(0, 7, "c")]
        found = layout(metrics, {}, 50)
        ratios = [
            found.sensitivity / found.count_scale / math.sqrt(4),  # a fourth of rho for the count
            *(found.sensitivity / block.scale / (math.sqrt(4) * block.high) for block in found.blocks),
        ]
        assert ratios[0] < 0.6
        assert max(ratios[1:]) < 0.87

    def test_nothing_measured_but_users_is_one_of_them(self) -> None:
        found = layout([metric("count")], {}, 50)
        assert found.cells == []
        assert found.sensitivity == pytest.approx(found.count_scale)

    def test_no_public_key_is_nothing_to_measure(self) -> None:
        told = metric("distinct_users", keys="features", max_cells=5)
        assert layout([told], {"features": []}, 50).is_empty
        assert not layout([told], {"features": ["a"]}, 50).is_empty

    def test_keys_that_nobody_declared_are_told(self) -> None:
        with pytest.raises(BadInput, match="there is no set of keys 'countries'"):
            layout([metric("distinct_users", keys="countries", max_cells=1)], {"features": ["a"]}, 50)
