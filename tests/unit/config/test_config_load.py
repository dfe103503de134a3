import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet.config.load import ConfigError, Problem, load, load_text
from fleet.config.schema import Config, Listener

DATA = Path(__file__).parents[2] / "testdata" / "config"
FILE = Path("headrace.yaml")
STATIC = "driver: {static: {endpoints: [http://a:1]}}"


def problems(text: str, env: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as raised:
        load_text(text, FILE, env or {})
    return raised.value.problems


def test_an_empty_mapping_is_all_defaults() -> None:
    assert load_text("{}", FILE) == Config()


def test_one_listen_address_stands_for_a_list_of_one() -> None:
    assert load_text("listen: :80", FILE).listen == (Listener(address="0.0.0.0:80"),)
    assert load_text("listen: ['[0::1]:80']", FILE).listen == (Listener(address="[::1]:80"),)


def test_one_listener_stands_for_a_list_of_one() -> None:
    listener = Listener(address="unix:///run/gateway.sock", mode="0600")
    written = "{address: 'unix:///run/gateway.sock', mode: '0600'}"
    assert load_text(f"listen: {written}", FILE).listen == (listener,)
    assert load_text(f"listen: [{written}]", FILE).listen == (listener,)


def test_a_bare_off_is_read_as_such() -> None:
    config = load_text("listen: {address: ':80', proxy_protocol: off}", FILE)
    assert config.listen[0].proxy_protocol == "off"


def test_certificates_are_kept_as_text_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TEST_SECRET", "x")
    config = load(DATA / "every_key.good.yml")
    tls = config.listen[1].tls
    assert tls is not None
    assert tls.certificates[0].pair.key + "\n" == (DATA / "tls/server.key").read_text()
    assert "PRIVATE" not in repr(config) + repr(tls.certificates[0].pair)


def test_a_file_is_read_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "headrace.yaml"
    path.write_bytes(b"\xef\xbb\xbfworkers: 3\n")
    assert load(path).workers == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("missing.yaml", "No such file or directory", id="a file that is not there"),
        pytest.param(".", "Is a directory", id="a directory"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_the_file(
    tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / name
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value) == f"{path}: cannot be read: {reason}"
    assert raised.value.problems[0].line == 0


def test_a_problem_has_its_parts_apart() -> None:
    (problem,) = problems("routes:\n- pool: a\npools: {}\n")
    assert problem == Problem(
        file="headrace.yaml",
        line=2,
        column=9,
        path="routes[0].pool",
        message="there is no pool 'a'; `pools` is empty",
    )


def test_problems_come_in_the_order_of_the_file() -> None:
    text = "pools: {a: {x: 1}, b: 2}\nlisten: x\nworkers: 0\n"
    places = [(problem.line, problem.column) for problem in problems(text)]
    assert places == sorted(places)
    assert [line for line, _ in places] == [1, 1, 1, 2, 3]


def test_a_value_that_cannot_be_expanded_has_no_errors_that_follow_from_it() -> None:
    (problem,) = problems("routes: [{pool: '${env:POOL}'}]\npools: {}\n")
    assert problem.message == "the environment variable POOL is not set"


def test_an_expanded_name_is_followed_but_not_shown() -> None:
    text = f"routes: [{{pool: '${{env:POOL}}'}}]\npools: {{main: {{{STATIC}}}}}\n"
    assert load_text(text, FILE, {"POOL": "main"}).routes[0].pool == "main"
    (problem,) = problems(text, {"POOL": "other"})
    assert problem.message == "there is no pool '${env:POOL}'; known: main"


def test_an_expanded_value_is_not_read_as_yaml_nor_expanded_again() -> None:
    text = f"pools: {{main: {{{STATIC}, affinity: {{header: X}}}}}}\nstate_dir: ${{env:DIR}}\n"
    config = load_text(text, FILE, {"DIR": "${env:X}: [1]"})
    assert config.state_dir == Path("${env:X}: [1]")


def test_a_long_value_is_cut_in_errors() -> None:
    (problem,) = problems(f"log: {{level: {'x' * 500}}}")
    assert len(problem.message) < 160
    assert problem.message.endswith("x...'")


def test_the_default_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TEST_DIR", "/srv")
    assert "HEADRACE_TEST_DIR" in os.environ
    assert load_text("state_dir: ${env:HEADRACE_TEST_DIR}", FILE).state_dir == Path("/srv")


yaml_like = st.text(
    st.sampled_from("abcpools:routes{}[]<&*!|>%@`'\"#-?., \n\t01.\x00\ud800é\u2028$~=")
)
VOCABULARY = """
pools routes listen admin driver process static endpoints versions scale signals weight a b
${env:A} 1 1.5 yes ~ null << 5s 64KiB http://a:1 127.0.0.1:80 [] {}
"""
words = st.sampled_from(VOCABULARY.split())
values = st.recursive(
    words | st.none() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text() | yaml_like | values.map(str))
@example("!!int ''")
@example("!!bool maybe")
@example("? [a]\n: 1")
@example("0x_: 0b_")
@example("pools: " + "9" * 5000)
@example("workers: " + "9" * 4000)
@example("- " * 5000)
@example("%YAML 9.9\n---\n{}")
@example("&a {<<: *a}")
@example("listen: [127.0.0.1:80, !!int '127.0.0.1:80']")
@example("{pools: {a: {driver: [], versions: [], scale: []}, b: {versions: {v: []}}}}")
@example("pools: {a: {scale: {signals: [{prometheus: []}, 1]}}}")
def test_any_text_gives_a_configuration_or_a_config_error(text: str) -> None:
    try:
        config = load_text(text, FILE, {})
    except ConfigError as error:
        assert error.problems
        str(error).encode()
    else:
        assert isinstance(config, Config)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), values))
def test_any_values_of_known_keys_give_a_configuration_or_a_config_error(
    data: dict[str, object],
) -> None:
    try:
        load_text(str(data).replace("None", "null"), FILE, {"A": "x"})
    except ConfigError as error:
        assert all(problem.message for problem in error.problems)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_give_a_configuration_or_a_config_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "headrace.yaml"
    path.write_bytes(content)
    try:
        load(path)
    except ConfigError as error:
        assert str(path) in str(error)
