"""That every version has a driver, and every driver in use has what it needs.

As `fleet.config.merge` says, a version's driver stands over its pool's.
"""

from __future__ import annotations

from collections.abc import Iterator

from fleet.config.addresses import check_endpoint
from fleet.config.document import Data, Document, Finding, Path, show_path
from fleet.config.raw import Mapping, as_list, as_mapping, items, pools, versions


def driver_findings(data: Mapping, document: Document) -> Iterator[Finding]:
    """What is wrong with the drivers of all pools."""
    for path, pool in pools(data):
        shared, own = pool.get("driver"), dict(versions(path, pool))
        without = [below for below, version in own.items() if version.get("driver") is None]
        if shared is None and without:
            yield from _no_driver(path, without, every=len(without) == len(own))
        for below, version in own.items():
            if isinstance(driver := version.get("driver"), dict):
                yield from _own_process(below, driver, as_mapping(shared))
                yield from _static((*below, "driver", "static"), driver.get("static"), document)
        if without:
            driver = as_mapping(shared)
            yield from _process((*path, "driver", "process"), driver.get("process"))
            yield from _static((*path, "driver", "static"), driver.get("static"), document)


def _no_driver(path: Path, without: list[Path], *, every: bool) -> Iterator[Finding]:
    if every:
        yield Finding(path, "no driver: give the pool a `driver` with `process` or `static`")
        return
    for below in without:
        yield Finding(below, "no driver: give it one, here or in the pool")


def _own_process(path: Path, driver: Mapping, shared: Mapping) -> Iterator[Finding]:
    process = driver.get("process")
    if isinstance(process, dict) and process.get("command") is None:
        command = as_mapping(shared.get("process")).get("command")
        process = {**process, "command": command}
    yield from _process((*path, "driver", "process"), process)


def _process(path: Path, process: Data) -> Iterator[Finding]:
    if not isinstance(process, dict):
        return
    command = process.get("command")
    if command is None or command == []:
        yield Finding(path, "no command: give the program and its arguments as a list")
    elif as_list(command)[:1] == [""]:
        yield Finding((*path, "command", 0), "the program must not be empty")


def _static(path: Path, static: Data, document: Document) -> Iterator[Finding]:
    if not isinstance(static, dict):
        return
    endpoints = static.get("endpoints")
    if endpoints is None or endpoints == []:
        yield Finding(path, "no endpoints: give at least one, such as http://10.0.0.5:8000")
    seen: dict[str, Path] = {}
    for below, endpoint in items((*path, "endpoints"), endpoints):
        if isinstance(endpoint, str) and (usual := _usual_form(endpoint)) is not None:
            first = seen.setdefault(usual, below)
            if first != below:
                message = f"{document.shown(below)} is given twice, first as {show_path(first)}"
                yield Finding(below, message)


def _usual_form(endpoint: str) -> str | None:
    try:
        return check_endpoint(endpoint)
    except ValueError:
        return None
