"""Whose the keys are, by the looks of one daemon at another's claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.store.claim import LOOKED_EVERY, SILENCE, Claim, Owner, installation, this_daemon


def owner(start: str, of: str = "i1") -> Owner:
    return Owner(installation=of, start=start, host="host", pid=7)


class Key:
    """The owner's key, by the rules of the script."""

    def __init__(self) -> None:
        self.value = ""

    def attempt(self, claim: Claim, now: float) -> bool:
        mine, value, replaced = claim.attempt()
        free = self.value in ("", replaced) or self.value.startswith(mine)
        if free:
            self.value = value
        claim.answered("" if free else self.value, now)
        return claim.held


def claim(start: str, of: str = "i1") -> Claim:
    return Claim("owner", owner(start, of), "rename one")


@pytest.fixture
def key() -> Key:
    return Key()


def test_the_first_has_the_keys_and_keeps_them(key: Key) -> None:
    first, second = claim("a"), claim("b", "i2")
    for look in range(20):
        assert key.attempt(first, look * 2.0)
        assert not key.attempt(second, look * 2.0 + 1)
    assert second.rival == owner("a")
    assert repr(second) == "<Claim owner of process 7 on host>"


def test_keys_that_were_given_up_are_the_next_ones_at_once(key: Key) -> None:
    first, second = claim("a"), claim("b", "i2")
    key.attempt(first, 0.0)
    assert not key.attempt(second, 0.5)
    key.value = ""
    assert key.attempt(second, 1.5)
    assert second.rival is None


def test_a_silent_owner_is_replaced_after_its_time_and_not_before(key: Key) -> None:
    first, second = claim("a"), claim("b", "i2")
    key.attempt(first, 0.0)
    taken = [look * LOOKED_EVERY for look in range(20) if key.attempt(second, look * LOOKED_EVERY)]
    assert taken[0] == SILENCE + LOOKED_EVERY
    assert not key.attempt(first, 100.0)


def test_time_without_answers_is_no_silence_of_the_owner(key: Key) -> None:
    first, second = claim("a"), claim("b", "i2")
    key.attempt(first, 0.0)
    key.attempt(second, 0.0)
    assert not key.attempt(second, 100.0)
    assert not second.may_take


def test_a_daemon_that_was_killed_is_replaced_by_its_next_start_at_once(key: Key) -> None:
    key.attempt(claim("a"), 0.0)
    again = claim("b")
    assert not key.attempt(again, 0.1)
    assert again.may_take
    assert key.attempt(again, 0.1)


def test_a_copied_state_directory_makes_no_two_owners_that_swap_for_ever(key: Key) -> None:
    one, copy = claim("a"), claim("b")
    key.attempt(one, 0.0)
    key.attempt(copy, 0.1)
    assert key.attempt(copy, 0.1)
    for look in range(20):
        assert not key.attempt(one, 1.0 + look)
        assert key.attempt(copy, 1.5 + look)


def test_an_owner_between_two_looks_was_alive_again(key: Key) -> None:
    first, second = claim("a"), claim("b", "i2")
    key.attempt(first, 0.0)
    for look in range(6):
        key.attempt(second, float(look))
    key.attempt(first, 5.5)
    assert not any(key.attempt(second, 6.0 + look) for look in range(6))


@pytest.mark.parametrize("value", ["x", "", "a b c d e", "OK 1 2 3 4 5"])
def test_a_value_that_nobody_here_wrote_is_shown_as_it_is(value: str) -> None:
    assert Owner.of(value) == Owner(installation="", start=value, host=value, pid=0)


def test_an_installation_keeps_its_number(tmp_path: Path) -> None:
    number = installation(tmp_path)
    assert len(number) == 16
    assert installation(tmp_path) == number
    (tmp_path / "installation").write_text("not a number!\n")
    assert installation(tmp_path) not in (number, "not a number!")


def test_a_host_name_with_blanks_stays_one_field(tmp_path: Path) -> None:
    made = Claim("owner", this_daemon(tmp_path, "my host"), "")
    assert Owner.of(made.attempt()[1]) == made.owner
    assert made.owner.host == "my_host"
