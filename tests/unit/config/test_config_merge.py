from pathlib import Path
from typing import Any

import pytest

from fleet.config.merge import (
    effective_concurrency,
    effective_limits,
    effective_process,
    effective_static,
    effective_timeouts,
)
from fleet.config.restart import RESTART_KEYS, changed_keys_needing_restart
from fleet.config.schema import Config, Pool, ProcessDriver, StaticDriver

PROCESS = {"command": ["agent"], "env": {"A": "1", "B": "2"}, "cwd": "x", "stop_timeout": "5s"}
STATIC = {"endpoints": ["http://a:1"]}


def pool(shared: object, own: object) -> Pool:
    return Pool.model_validate({"driver": shared, "versions": {"v1": {"driver": own}}})


@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        pytest.param({"process": PROCESS}, None, PROCESS, id="the pool's alone"),
        pytest.param(None, {"process": PROCESS}, PROCESS, id="the version's alone"),
        pytest.param(
            {"process": PROCESS}, {"process": {}}, PROCESS, id="an override that changes nothing"
        ),
        pytest.param(
            {"process": PROCESS},
            {"process": {"env": {"B": "3", "C": "4"}}},
            {**PROCESS, "env": {"A": "1", "B": "3", "C": "4"}},
            id="env is merged",
        ),
        pytest.param(
            {"process": PROCESS},
            {"process": {"command": ["b"], "cwd": "y", "start_timeout": "2s", "stop_timeout": 0}},
            {**PROCESS, "command": ["b"], "cwd": "y", "start_timeout": "2s", "stop_timeout": 0},
            id="all else is replaced, by 0 too",
        ),
        pytest.param(
            {"static": STATIC}, {"process": {"command": ["b"]}}, {"command": ["b"]},
            id="a version of another kind has nothing of the pool's",
        ),
        pytest.param({"process": PROCESS}, {"static": STATIC}, None, id="a static version"),
        pytest.param({"static": STATIC}, None, None, id="a static pool"),
        pytest.param(None, None, None, id="no driver at all"),
    ],
)  # fmt: skip
def test_the_process_driver_of_a_version(
    shared: object, own: object, expected: dict[str, Any] | None
) -> None:
    merged = effective_process(pool(shared, own), "v1")
    assert merged == (None if expected is None else ProcessDriver.model_validate(expected))


@pytest.mark.parametrize(
    ("shared", "own", "expected"),
    [
        pytest.param({"static": STATIC}, None, ("http://a:1",), id="the pool's"),
        pytest.param(
            {"static": STATIC}, {"static": {"endpoints": ["http://b:1"]}}, ("http://b:1",),
            id="the version's instead of the pool's",
        ),
        pytest.param({"process": PROCESS}, {"static": STATIC}, ("http://a:1",), id="another kind"),
        pytest.param({"static": STATIC}, {"process": PROCESS}, None, id="a process version"),
        pytest.param({"process": PROCESS}, None, None, id="a process pool"),
        pytest.param(None, None, None, id="no driver at all"),
    ],
)  # fmt: skip
def test_the_static_driver_of_a_version(
    shared: object, own: object, expected: tuple[str, ...] | None
) -> None:
    static = effective_static(pool(shared, own), "v1")
    assert static == (None if expected is None else StaticDriver(endpoints=expected))


def test_slots_are_the_versions_own_or_the_pools() -> None:
    made = Pool.model_validate({"concurrency": 7, "versions": {"v1": {}, "v2": {"concurrency": 2}}})
    assert effective_concurrency(made, "v1") == 7
    assert effective_concurrency(made, "v2") == 2


@pytest.mark.parametrize("effective", [effective_process, effective_static, effective_concurrency])
def test_an_unknown_version_is_a_key_error(effective: Any) -> None:
    with pytest.raises(KeyError):
        effective(pool(None, None), "v9")


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param({"drain_timeout": "1s", "log": {"level": "debug"}}, (), id="what reloads"),
        pytest.param({"admin": {"token": "x"}}, (), id="the admin token"),
        pytest.param({"workers": 2}, ("workers",), id="workers"),
        pytest.param(
            {
                "admin": {"listen": "127.0.0.1:1"},
                "cluster": {"name": "x"},
                "state_dir": Path("x"),
                "store": "redis://a",
                "workers": 2,
            },
            RESTART_KEYS,
            id="all at once",
        ),
    ],
)
def test_changes_that_need_a_restart(change: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert changed_keys_needing_restart(Config(), Config.model_validate(change)) == keys


def test_a_route_replaces_the_limits_it_gives_and_no_others() -> None:
    config = Config.model_validate(
        {
            "timeouts": {"request": "1m", "first_byte": "5s"},
            "limits": {"body": 10, "body_rate": 7},
            "routes": [
                {"pool": "p", "timeouts": {"request": 0, "connect": "3s"}, "limits": {"body": 20}},
                {"pool": "p"},
            ],
        }
    )
    own, plain = config.routes
    changed = {"request": 0.0, "connect": 3.0}
    assert effective_timeouts(config, own) == config.timeouts.model_copy(update=changed)
    assert effective_limits(config, own) == config.limits.model_copy(update={"body": 20})
    assert effective_timeouts(config, plain) == config.timeouts
    assert effective_limits(config, plain) == config.limits
