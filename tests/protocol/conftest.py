from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.protocol.support import Rig


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """A data plane under test; its books are checked at the end."""
    rig = Rig(monkeypatch)
    yield rig
    rig.end()
