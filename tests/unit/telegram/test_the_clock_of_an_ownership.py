"""An ownership ends while the machine sleeps, as its expiry in the database does."""

import time

import pytest

from nadia.telegram.ownership import Ownership


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this kernel does not count the time it is suspended")
def test_an_ownership_that_ran_out_while_the_machine_was_suspended_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = 0.0
    real = time.clock_gettime

    def clock_gettime(clock: int) -> float:
        return real(clock) + (asleep if clock == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + 20
    ownership = Ownership(account_id="sandbox", fencing_token=1, state=None, deadline=deadline)
    assert ownership.lives
    assert 0 < ownership.remaining <= 20
    asleep = 3_600.0
    assert not ownership.lives
    assert ownership.remaining == 0
