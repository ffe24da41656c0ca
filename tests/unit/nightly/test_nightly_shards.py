"""Every experiment is in exactly one shard, and the shards take about as long as each other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from harness.model.experiment import Experiment
from harness.nightly import shards
from tests.unit.nightly import stories

names = st.lists(st.sampled_from([f"cart/{letter}" for letter in "abcdefghijklmnop"]), unique=True)


def made(listed: list[str]) -> list[Experiment]:
    return [cast(Experiment, SimpleNamespace(name=name, path=Path(name))) for name in listed]


@given(names, st.integers(1, 6), st.dictionaries(st.sampled_from(["cart/a", "cart/b", "cart/c"]), st.floats(1, 100)))
def test_each_is_in_one_shard_and_keeps_its_place(listed: list[str], of: int, seconds: dict[str, float]) -> None:
    parts = [shards.pick(made(listed), shard, of, seconds) for shard in range(1, of + 1)]
    assert sorted(one.name for part in parts for one in part) == sorted(listed)
    assert all(
        [one.name for one in part] == [name for name in listed if name in {o.name for o in part}] for part in parts
    )


@given(names, st.integers(1, 6), st.data())
def test_no_shard_is_longer_than_another_by_more_than_one_experiment(
    listed: list[str], of: int, data: st.DataObject
) -> None:
    seconds = {name: data.draw(st.integers(1, 100).map(float)) for name in listed}
    todo = [
        sum(seconds[one.name] for one in shards.pick(made(listed), shard, of, seconds)) for shard in range(1, of + 1)
    ]
    assert max(todo) - min(todo) <= max(seconds.values(), default=0)


@given(names.flatmap(lambda listed: st.tuples(st.just(listed), st.permutations(listed))), st.integers(1, 6))
def test_the_order_of_the_files_does_not_change_the_split(listed: tuple[list[str], list[str]], of: int) -> None:
    first, second = ({one.name for one in shards.pick(made(order), 1, of, {})} for order in listed)
    assert first == second


def test_the_time_is_that_of_late_from_runs_that_judged() -> None:
    runs = [stories.run(number, "cart/kill", 1, "PASS", seconds=100.0) for number in range(5)]
    runs += [stories.run(number, "cart/kill", 1, "PASS", seconds=20.0) for number in range(5, 15)]
    runs.append(stories.run(15, "cart/kill", 1, "INCONCLUSIVE", seconds=1.0))
    assert shards.seconds(runs) == {"cart/kill": 20.0}
