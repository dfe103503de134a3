"""With real files: every way in which a file is commonly replaced is noticed."""

# The files are a few bytes long, and the tests want their edits in this order exactly:
# ruff: noqa: ASYNC240

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.config.watch import changes
from tests.support.waiting import wait_until

DEADLINE = 10.0
SOON = 1.0
"""An edit takes effect within this many seconds."""


def watched(directory: Path) -> bool:
    """Whether this process has an inotify watch on `directory` (proc(5), fdinfo)."""
    mark = f" ino:{directory.stat().st_ino:x} "
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            if mark in info.read_text():
                return True
    return False


class Watch:
    """A running watch, and what it has told."""

    def __init__(self, path: Path) -> None:
        self.stop = asyncio.Event()
        self._changes = changes(path, self.stop)
        self._next: asyncio.Future[str | None]

    async def armed(self, *directories: Path) -> None:
        """Wait for the next change from here on, in each of `directories`."""
        self._next = asyncio.ensure_future(self._tell())
        await wait_until(lambda: all(map(watched, directories)), "the watch is armed")

    async def _tell(self) -> str | None:
        return await anext(self._changes, "ended")

    async def told(self) -> str | None:
        """None for a change, `ended` for the end."""
        async with asyncio.timeout(DEADLINE):
            return await self._next

    async def end(self) -> None:
        self.stop.set()
        assert await self.told() == "ended"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "headrace.yaml"
    path.write_text("workers: 1\n")
    return path


def written_in_place(path: Path) -> None:
    path.write_text("workers: 2\n")


def appended(path: Path) -> None:
    with path.open("a") as file:
        file.write("store: embedded\n")


def renamed_over(path: Path) -> None:
    new = path.with_suffix(".tmp")
    new.write_text("workers: 2\n")
    new.rename(path)


def copied_over(path: Path) -> None:
    other = path.parent.parent / f"{path.parent.name}-other.yaml"
    other.write_text("workers: 2\n")
    shutil.copy(other, path)


def backed_up_and_written_anew(path: Path) -> None:
    path.rename(path.with_suffix(".bak"))
    path.write_text("workers: 2\n")


def deleted_and_made_again(path: Path) -> None:
    path.unlink()
    path.write_text("workers: 2\n")


@pytest.mark.parametrize(
    "edit",
    [
        written_in_place,
        appended,
        renamed_over,
        copied_over,
        backed_up_and_written_anew,
        deleted_and_made_again,
    ],
)
async def test_an_edit_is_seen_soon(config: Path, edit: Callable[[Path], None]) -> None:
    loop = asyncio.get_running_loop()
    watch = Watch(config)
    await watch.armed(config.parent)
    began = loop.time()
    edit(config)
    assert await watch.told() is None
    assert loop.time() - began < SOON
    await watch.armed(config.parent)
    await watch.end()


async def test_edits_are_seen_one_after_the_other(config: Path) -> None:
    watch = Watch(config)
    for number in range(3):
        await watch.armed(config.parent)
        config.write_text(f"workers: {number + 2}\n")
        assert await watch.told() is None
    await watch.armed(config.parent)
    await watch.end()


async def test_an_edit_before_the_first_wait_is_seen(config: Path) -> None:
    watch = Watch(config)
    config.write_text("workers: 2\n")
    await watch.armed()
    assert await watch.told() is None


async def test_other_files_and_equal_content_are_passed_over(config: Path) -> None:
    watch = Watch(config)
    await watch.armed(config.parent)
    (config.parent / "other.yaml").write_text("x")
    shutil.copy(config, config.with_suffix(".tmp"))
    config.with_suffix(".tmp").rename(config)
    config.chmod(0o600)
    config.write_text("workers: 2\n")
    assert await watch.told() is None
    await watch.armed(config.parent)
    await watch.end()


async def test_a_file_that_is_gone_is_waited_for(config: Path) -> None:
    watch = Watch(config)
    await watch.armed(config.parent)
    config.unlink()
    config.with_suffix(".old").write_text("x")
    (config.parent / "headrace.yaml").write_text("workers: 7\n")
    assert await watch.told() is None


async def test_a_directory_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "headrace.yaml"
    path.parent.mkdir()
    path.write_text("workers: 1\n")
    watch = Watch(path)
    await watch.armed(path.parent)
    shutil.rmtree(path.parent)
    await wait_until(lambda: watched(tmp_path), "the directory above is watched")
    path.parent.mkdir()
    path.write_text("workers: 2\n")
    assert await watch.told() is None


async def test_a_swapped_link_above_the_file_is_seen(tmp_path: Path) -> None:
    """As Kubernetes does it: headrace.yaml -> ..data/headrace.yaml, and ..data -> ..1."""
    mount = tmp_path / "mount"
    for number in (1, 2, 3):
        (mount / f"..{number}").mkdir(parents=True)
        (mount / f"..{number}" / "headrace.yaml").write_text(f"workers: {number}\n")
    (mount / "..data").symlink_to("..1")
    config = mount / "headrace.yaml"
    config.symlink_to("..data/headrace.yaml")
    watch = Watch(config)
    for number in (2, 3):
        await watch.armed(mount, mount / f"..{number - 1}")
        (mount / "..data_tmp").symlink_to(f"..{number}")
        (mount / "..data_tmp").rename(mount / "..data")
        shutil.rmtree(mount / f"..{number - 1}")
        assert await watch.told() is None
        assert config.read_text() == f"workers: {number}\n"


async def test_an_edit_behind_a_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "etc").mkdir()
    real = tmp_path / "real" / "headrace.yaml"
    real.write_text("workers: 1\n")
    link = tmp_path / "etc" / "headrace.yaml"
    link.symlink_to(real)
    watch = Watch(link)
    await watch.armed(tmp_path / "real", tmp_path / "etc")
    real.write_text("workers: 2\n")
    assert await watch.told() is None


async def test_a_link_that_leads_to_itself_does_no_harm(tmp_path: Path) -> None:
    link = tmp_path / "headrace.yaml"
    link.symlink_to("headrace.yaml")
    watch = Watch(link)
    await watch.armed(tmp_path)
    link.unlink()
    link.write_text("workers: 2\n")
    assert await watch.told() is None


async def test_a_new_secret_is_seen(config: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secrets" / "token"
    config.write_text(f"admin: {{token: '${{file:{secret}}}'}}\n")
    watch = Watch(config)
    await watch.armed(tmp_path)
    secret.parent.mkdir()
    secret.write_text("a")
    assert await watch.told() is None
    await watch.armed(tmp_path, secret.parent)
    secret.write_text("b")
    assert await watch.told() is None


async def test_a_relative_path_is_watched(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    watch = Watch(Path(config.name))
    await watch.armed(config.parent)
    config.write_text("workers: 2\n")
    assert await watch.told() is None


async def test_a_stop_already_set_ends_at_once(config: Path) -> None:
    watch = Watch(config)
    watch.stop.set()
    await watch.armed()
    assert await watch.told() == "ended"


async def test_a_cancelled_wait_leaves_the_stop_event_alone(config: Path) -> None:
    watch = Watch(config)
    await watch.armed(config.parent)
    watch._next.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch.told()
    assert not watch.stop.is_set()
    # the watcher closes its descriptor in a thread of its own
    await wait_until(lambda: not watched(config.parent), "the directory is let go")


async def test_a_renewed_certificate_is_seen(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    for name in ("one.pem", "one.key", "ca.pem", "other.pem"):
        (tmp_path / "tls" / name).write_text("x")
    path = tmp_path / "headrace.yaml"
    path.write_text(
        "listen: {address: ':1', tls: {certificates: [{cert: tls/one.pem, key: tls/one.key}]}}\n"
        "pools: {p: {driver: {static: {tls: {ca: tls/ca.pem}}}}}\n"
    )
    watch = Watch(path)
    for name in ("one.pem", "one.key", "ca.pem"):
        await watch.armed(tmp_path / "tls", tmp_path)
        (tmp_path / "tls" / "other.pem").write_text(name)
        (tmp_path / "tls" / name).write_text("y")
        assert await watch.told() is None
    await watch.armed(tmp_path)
    await watch.end()
