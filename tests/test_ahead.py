"""Work done ahead of its turn."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from sewcli.pipeline.ahead import Ahead


def take_all(ahead: Ahead[int, int]) -> list[int | None]:
    return list(ahead.results())


def ignore(_: object) -> None: ...


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    def slow_for_even_numbers(number: int) -> int:
        time.sleep(0.002 * (number % 2 == 0))
        return number * number

    ahead = Ahead(range(60), slow_for_even_numbers, ignore, workers=workers, depth=6)
    assert take_all(ahead) == [number * number for number in range(60)]


def test_no_more_than_the_depth_is_begun_before_it_is_wanted() -> None:
    begun: list[int] = []
    ahead = Ahead(range(1000), lambda number: begun.append(number) or number, ignore, workers=3, depth=4)
    results = ahead.results()
    for taken in range(50):
        assert next(results) == taken
        # one more may be pulled while the result is handed over
        assert len(begun) <= taken + 1 + 4
    ahead.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_begun_than_may_wait_by_its_weight(workers: int) -> None:
    """But what is waited for is, whatever the weight of those behind it that are done."""
    weights = [1, 50, 1, 1, 30, 1, 1, 1, 1, 40, 1, 1] * 20
    done: list[int] = []
    heaviest = []

    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3 == 0))
        done.append(number)
        return number

    ahead = Ahead(
        range(len(weights)), work, ignore, workers=workers, depth=60, weigh=weights.__getitem__, most=20
    )
    for taken, found in enumerate(ahead.results()):
        assert found == taken
        heaviest.append(sum(weights[number] for number in done if number > taken))
        time.sleep(0.0005)
    assert len(done) == len(weights)
    # 20, and what was under way when that was reached
    assert max(heaviest) <= 20 + workers * 50


def test_work_goes_on_while_nobody_takes() -> None:
    done = threading.Event()
    ahead = Ahead([1, 2], lambda number: done.set() if number == 2 else None, ignore, depth=2)
    assert done.wait(10)
    ahead.stop()


def test_an_error_of_the_work_comes_in_its_turn() -> None:
    ahead = Ahead([1, 0, 2], lambda number: 10 // number, ignore, workers=2)
    results = ahead.results()
    assert next(results) == 10
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_comes_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the list ends here")

    results = Ahead(items(), lambda number: number, ignore).results()
    assert next(results) == 1
    with pytest.raises(OSError, match="the list ends here"):
        next(results)


def test_a_slow_item_is_told_by_none() -> None:
    go_on = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        go_on.wait(30)
        yield 2

    results = Ahead(items(), lambda number: number, ignore).results(patience=0.02)
    assert next(results) == 1
    assert next(results) is None
    go_on.set()
    assert next(result for result in results if result is not None) == 2
    assert list(results) == []


def test_slow_work_is_told_by_none() -> None:
    go_on = threading.Event()
    results = Ahead([1], lambda number: go_on.wait(30) and number, ignore).results(patience=0.02)
    assert next(results) is None
    go_on.set()
    assert [result for result in results if result is not None] == [1]


def test_what_nobody_took_is_given_back() -> None:
    given_back: list[int] = []
    complete = threading.Semaphore(0)

    def discard(number: int) -> None:
        given_back.append(number)
        complete.release()

    ahead = Ahead(range(100), lambda number: number, discard, workers=2, depth=3)
    results = ahead.results()
    assert next(results) == 0
    ahead.stop()
    for _ in range(3):
        if not complete.acquire(timeout=1):
            break
    taken = {0, *given_back}
    assert taken == set(range(len(taken)))
    assert len(given_back) <= 4


def test_a_work_under_way_is_given_back_when_it_ends() -> None:
    go_on, given_back = threading.Event(), threading.Event()
    ahead = Ahead([1], lambda number: go_on.wait(30) and number, lambda _: given_back.set())
    assert next(ahead.results(patience=0.02)) is None
    ahead.stop()
    assert not given_back.is_set()
    go_on.set()
    assert given_back.wait(10)


class HesitatingQueue(queue.SimpleQueue):  # type: ignore[type-arg]
    """A queue in which results arrive late: work that is done is for a moment in no list."""

    def put(self, item: object, *_: object) -> None:
        if isinstance(item, Future):
            time.sleep(0.3)
        super().put(item)


def test_a_result_that_comes_while_it_stops_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "SimpleQueue", HesitatingQueue)
    made, given_back = [], []
    ahead = Ahead([1], lambda number: made.append(number) or number, given_back.append)
    time.sleep(0.15)
    ahead.stop()
    assert not any(thread.is_alive() for thread in ahead._threads)
    assert given_back == made
