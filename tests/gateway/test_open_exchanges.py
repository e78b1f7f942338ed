"""What is forwarded is cut when it may not go on, and what was judged before a change is judged again."""

from types import SimpleNamespace
from typing import cast

from gateway.exchange import Exchange
from gateway.open_exchanges import OpenExchanges
from gateway.problems import Problem

DENIED = Problem("denied", "no rule allows it")


class Request:
    """As much of an exchange as the registry looks at."""

    def __init__(self, *, generation: int = 0) -> None:
        self.generation = generation
        self.cut: Problem | None = None
        self.request_id = "r-1"
        self.cancelled = False
        self.raw = SimpleNamespace(cancel=self._cancel)

    def _cancel(self) -> None:
        self.cancelled = True

    @property
    def exchange(self) -> Exchange:
        return cast("Exchange", self)


def test_what_may_go_on_goes_on_and_the_rest_is_cut_with_its_reason() -> None:
    good, bad = Request(), Request()
    open_exchanges = OpenExchanges(lambda exchange: DENIED if exchange is bad.exchange else None)
    assert open_exchanges.enter(good.exchange) is None
    assert open_exchanges.enter(bad.exchange) is None
    open_exchanges.judge_again()
    assert (good.cancelled, bad.cancelled) == (False, True)
    assert (bad.cut, open_exchanges.cut_count) == (DENIED, 1)


def test_what_was_judged_before_a_change_is_judged_again_before_it_goes_on() -> None:
    """SECURITY-CASES 28: a person may be revoked while their decision is being recorded."""
    early, late = Request(generation=0), Request(generation=1)
    open_exchanges = OpenExchanges(lambda exchange: DENIED)
    open_exchanges.judge_again()
    assert open_exchanges.enter(early.exchange) is DENIED
    assert open_exchanges.enter(late.exchange) is None
    assert (len(open_exchanges), open_exchanges.cut_count) == (1, 1)


def test_one_that_cant_be_judged_is_cut_and_saves_no_other() -> None:
    odd, bad = Request(), Request()

    def judge(exchange: Exchange) -> Problem | None:
        if exchange is odd.exchange:
            raise KeyError("gone")
        return DENIED

    open_exchanges = OpenExchanges(judge)
    open_exchanges.enter(odd.exchange)
    open_exchanges.enter(bad.exchange)
    open_exchanges.judge_again()
    assert (odd.cancelled, bad.cancelled) == (True, True)
    assert odd.cut is not None
    assert odd.cut.code == "internal_error"


def test_what_has_ended_is_not_looked_at_any_more() -> None:
    ended = Request()
    open_exchanges = OpenExchanges(lambda exchange: DENIED)
    open_exchanges.enter(ended.exchange)
    open_exchanges.leave(ended.exchange)
    open_exchanges.judge_again()
    assert not ended.cancelled
