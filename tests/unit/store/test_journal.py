from fleet.model import Decision, Direction, Event
from fleet.store.journal import Journal, Record


def event(at: float) -> Event:
    return Event(at=at, kind="test.happened", message="it happened")


def decision(at: float) -> Decision:
    return Decision(
        pool="support",
        version="v1",
        at=at,
        current=1,
        wanted=2,
        desired=2,
        direction=Direction.UP,
        reason="more work",
    )


def times(records: list[Record] | tuple[Record, ...]) -> list[float]:
    return [record.body.at for record in records]


def test_the_rings_are_apart_newest_first_and_keep_the_newest() -> None:
    journal = Journal("w", ring=2)
    for at in (1.0, 2.0, 3.0):
        journal.add(event(at))
    journal.add(decision(4.0))
    assert times(journal.events()) == [3.0, 2.0]
    assert times(journal.decisions()) == [4.0]


def test_ids_are_unique_and_begin_with_the_writer() -> None:
    journal = Journal("w")
    journal.add(event(1.0))
    journal.add(decision(1.0))
    assert [r.id for r in journal.unsent()] == ["w-2", "w-1"]


def test_a_settled_batch_is_gone_in_the_order_it_came() -> None:
    journal = Journal("w")
    for at in (1.0, 2.0, 3.0):
        journal.add(event(at))
    assert times(journal.batch(2)) == [1.0, 2.0]
    journal.settle(kept=())
    assert times(journal.batch(2)) == [3.0]
    journal.settle(kept=())
    assert len(journal) == 0


def test_what_was_not_taken_is_sent_again_first() -> None:
    journal = Journal("w")
    for at in (1.0, 2.0, 3.0):
        journal.add(event(at))
    batch = journal.batch(2)
    journal.add(event(4.0))
    journal.settle(kept=batch[1:])
    assert times(journal.batch(10)) == [2.0, 3.0, 4.0]


def test_a_full_queue_drops_and_counts_the_oldest_that_waits() -> None:
    journal = Journal("w", outgoing=3)
    for at in (1.0, 2.0, 3.0, 4.0, 5.0):
        journal.add(event(at))
    assert times(journal.batch(10)) == [3.0, 4.0, 5.0]
    assert journal.dropped == 2


def test_a_full_queue_never_drops_what_is_being_sent() -> None:
    journal = Journal("w", outgoing=3)
    for at in (1.0, 2.0, 3.0):
        journal.add(event(at))
    batch = journal.batch(2)
    journal.add(event(4.0))
    journal.settle(kept=batch)
    assert times(journal.batch(10)) == [1.0, 2.0, 4.0]
    assert journal.dropped == 1


def test_records_being_sent_count_as_unsent() -> None:
    journal = Journal("w")
    for at in (1.0, 2.0, 3.0):
        journal.add(event(at))
    journal.batch(2)
    assert times(journal.unsent()) == [3.0, 2.0, 1.0]
    assert len(journal) == 3
