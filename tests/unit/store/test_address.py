from pathlib import Path

import pytest
from redis.asyncio import Redis

from fleet.store.address import SOCKET_PATH_LIMIT, redacted, socket_path, unix_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("embedded", "embedded", id="no URL at all stays as it is"),
        pytest.param(
            "redis://host:6379/0", "redis://host:6379/0", id="nothing secret stays as it is"
        ),
        pytest.param(
            "redis://user:pa55@host:6379/0",
            "redis://***@host:6379/0",
            id="user and password are hidden",
        ),
        pytest.param("rediss://:p@ss@host/1", "rediss://***@host/1", id="an @ in the password"),
        pytest.param(
            "unix:///run/r.sock?db=2&password=pa55",
            "unix:///run/r.sock?db=2&password=***",
            id="a password among the options is hidden",
        ),
        pytest.param("redis://[::1]:6379", "redis://[::1]:6379", id="an IPv6 address stays whole"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_a_socket_lies_in_the_stores_directory_where_its_path_fits() -> None:
    assert socket_path(Path("/var/lib/x/store"), Path("/tmp")) == Path(
        "/var/lib/x/store/valkey.sock"
    )


def test_a_socket_path_of_107_bytes_is_used_and_one_more_is_not() -> None:
    fits = Path("/" + "d" * (SOCKET_PATH_LIMIT - len("//valkey.sock")))
    longer = fits.with_name(fits.name + "d")
    assert socket_path(fits, Path("/tmp")).parent == fits
    assert socket_path(longer, Path("/tmp")).parent.parent == Path("/tmp")


def test_a_short_socket_path_stays_the_same_and_differs_by_directory() -> None:
    one, other = Path("/" + "d" * 200), Path("/" + "e" * 200)
    assert socket_path(one, Path("/tmp")) == socket_path(one, Path("/tmp"))
    assert socket_path(one, Path("/tmp")) != socket_path(other, Path("/tmp"))


async def test_the_client_reads_back_a_socket_path_with_spaces_and_percent_signs() -> None:
    path = Path("/var/my state/50%/valkey.sock")
    redis = Redis.from_url(unix_url(path))
    assert redis.connection_pool.connection_kwargs["path"] == str(path)
