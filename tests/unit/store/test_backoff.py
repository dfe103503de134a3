import pytest

from fleet.store.backoff import Backoff


@pytest.mark.parametrize(
    ("drawn", "delays"),
    [
        pytest.param(1.0, [0.1, 0.2, 0.4, 0.5, 0.5], id="doubles up to the limit"),
        pytest.param(0.0, [0.05, 0.1, 0.2, 0.25, 0.25], id="keeps at least half"),
    ],
)
def test_delays(drawn: float, delays: list[float]) -> None:
    backoff = Backoff(0.1, 0.5, lambda: drawn)
    assert [backoff.delay() for _ in delays] == pytest.approx(delays)


def test_a_reset_begins_again() -> None:
    backoff = Backoff(0.1, 0.5, lambda: 1.0)
    backoff.delay()
    backoff.delay()
    backoff.reset()
    assert backoff.delay() == 0.1
