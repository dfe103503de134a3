"""Whole files: the bad ones with their exact messages, the good ones, and the project's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from fleet.config.json_schema import schema
from fleet.config.load import ConfigError, load
from fleet.config.schema import Config

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "testdata" / "config"
SECRET = "hunter2"


def _named(pattern: str) -> list[str]:
    return sorted(path.name for path in DATA.glob(pattern))


@pytest.fixture(autouse=True)
def in_testdata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    monkeypatch.setenv("HEADRACE_TEST_SECRET", SECRET)
    monkeypatch.delenv("HEADRACE_TEST_UNSET", raising=False)


@pytest.mark.parametrize("name", _named("*.bad.yml"))
def test_a_bad_file_has_its_exact_messages(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(Path(name))
    assert str(raised.value) + "\n" == Path(name).with_suffix(".txt").read_text()
    assert SECRET not in str(raised.value)


def test_every_bad_file_has_messages_and_every_message_a_file() -> None:
    assert {Path(name).stem for name in _named("*.bad.yml")} == {
        Path(name).stem for name in _named("*.bad.txt")
    }


@pytest.mark.parametrize("name", _named("*.good.yml"))
def test_a_good_file_loads(name: str) -> None:
    assert isinstance(load(Path(name)), Config)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_the_configurations_of_the_project_load(path: Path) -> None:
    assert load(path).pools


def _keys(model: BaseModel) -> Iterator[tuple[type[BaseModel], str]]:
    """Every key that is set, in `model` and in what it holds."""
    for key in model.model_fields_set:
        yield type(model), key
        yield from _keys_in(getattr(model, key))


def _keys_in(value: object) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(value, BaseModel):
        yield from _keys(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _keys_in(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _keys_in(item)


def test_the_file_of_every_key_sets_every_key() -> None:
    seen = set(_keys(load(Path("every_key.good.yml"))))
    models = {model for model, _ in seen}
    assert seen == {(model, key) for model in models for key in model.model_fields}
    assert len(models) == 1 + len(schema()["$defs"])


def test_merge_keys_give_what_the_mapping_itself_does_not() -> None:
    pools = load(Path("anchors.good.yml")).pools
    assert [pool.concurrency for pool in pools.values()] == [2, 3, 2]
    assert [pool.served_by for pool in pools.values()] == [True, True, False]
    assert {pool.queue.limit for pool in pools.values()} == {5}
    assert pools["main"].driver == pools["base"].driver
    driver = pools["other"].driver
    assert driver is not None and driver.process is not None
    assert driver.process.command == ("agent", "{port}")
    assert driver.process.cwd == Path("/opt")


def test_a_secret_is_expanded_but_not_shown() -> None:
    for name in ("every_key.good.yml", "several_listeners.good.yml"):
        config = load(Path(name))
        assert config.admin.token is not None
        assert config.admin.token.get_secret_value() == SECRET
        assert SECRET not in repr(config)
