"""What the example clients ask."""

from __future__ import annotations

from typing import Final

QUESTIONS: Final = (
    "How are new requests split over the versions of a pool?",
    "What happens when every slot is taken?",
    "How does the scaler decide how many replicas a version needs?",
    "When is the lease on a slot released for a streamed reply?",
    "What happens to traffic when the store is away?",
    "Does an edit of the configuration need a restart?",
    "How is a replica stopped without losing requests?",
    "What is a pool without a route?",
)
