"""The rules of the fuzzer over its seeds, without atheris."""

from __future__ import annotations

from tests.fuzz.properties import check_replies, check_requests
from tests.fuzz.seeds import seeds


def test_the_rules_hold_for_every_request_of_the_corpora() -> None:
    found = list(seeds("requests"))
    assert len(found) > 300
    for seed in found:
        check_requests(seed)


def test_the_rules_hold_for_every_reply_of_the_corpora() -> None:
    found = list(seeds("replies"))
    assert len(found) > 100
    for seed in found:
        check_replies(seed)
