from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.wire import RouteEntry
from router.routes import Routes


def route(
    pool: str,
    path: str | None = None,
    host: str | None = None,
    methods: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> RouteEntry:
    return RouteEntry(host=host, path=path, methods=methods, headers=dict(headers or {}), pool=pool)


def match(
    routes: Routes,
    path: str,
    host: str = "h",
    method: str = "GET",
    headers: Mapping[bytes, bytes] | None = None,
) -> str | None:
    found = routes.match(host.encode(), path.encode(), method.encode(), (headers or {}).get)
    return found.pool if found else None


TABLE = [
    route("beta", "/v1", headers={"X-Beta": "yes"}),
    route("writes", "/v1/items", methods=("POST", "PUT")),
    route("items", "/v1/items/"),
    route("v1", "/v1"),
    route("exact", "/", host="api.example.com"),
    route("wild", "/", host="*.example.com"),
    route("v10", "/v10"),
    route("deep", "/v1/items/deep"),
]
ANSWERS = {
    "the first that matches wins": ("/v1", {}, "v1"),
    "an earlier, longer prefix wins": ("/v1/items", {}, "items"),
    "a trailing slash of the route does not matter": ("/v1/items", {}, "items"),
    "a trailing slash of the path does not matter": ("/v1/items/", {}, "items"),
    "a later, longer prefix does not": ("/v1/items/deep/er", {}, "items"),
    "a method selects": ("/v1/items/1", {"method": "PUT"}, "writes"),
    "another method falls through": ("/v1/items/1", {"method": "DELETE"}, "items"),
    "methods are told apart by case": ("/v1/items", {"method": "post"}, "items"),
    "a header selects": ("/v1/x", {"headers": {b"x-beta": b"yes"}}, "beta"),
    "another value does not": ("/v1/x", {"headers": {b"x-beta": b"no"}}, "v1"),
    "a prefix is of whole segments": ("/v10/x", {}, "v10"),
    "half a segment is none": ("/v11", {}, None),
    "paths are told apart by case": ("/V1", {}, None),
    "a host selects": ("/", {"host": "api.example.com"}, "exact"),
    "a wildcard takes one label": ("/", {"host": "x.example.com"}, "wild"),
    "a wildcard takes several": ("/", {"host": "x.y.example.com"}, "wild"),
    "a wildcard does not take none": ("/", {"host": "example.com"}, None),
    "a wildcard does not end inside a label": ("/", {"host": "badexample.com"}, None),
    "an earlier route without host wins": ("/v1", {"host": "x.example.com"}, "v1"),
    "no route": ("/else", {}, None),
    "the star of OPTIONS": ("*", {}, None),
}


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS)
def test_a_request_is_routed_so_that(case: tuple[str, dict[str, object], str | None]) -> None:
    path, conditions, pool = case
    assert match(Routes(TABLE), path, **conditions) == pool  # type: ignore[arg-type]


def test_a_route_without_conditions_takes_everything() -> None:
    routes = Routes([route("all")])
    assert [match(routes, p) for p in ("/", "/a/b", "/a//b/")] == ["all"] * 3


segment = st.sampled_from(["a", "b", "c", "ab", "v1"])
path = st.lists(segment, max_size=4).map(lambda s: "/" + "/".join(s))
host = st.sampled_from(["a.b", "x.a.b", "y.x.a.b", "b", "c"])
entry = st.builds(
    route,
    st.integers(0, 10**6).map(str),
    st.none() | path | path.map(lambda p: p.rstrip("/") + "/"),
    st.none() | host | st.sampled_from(["*.b", "*.a.b"]),
    st.sampled_from([(), ("GET",), ("POST", "PUT")]),
    st.sampled_from([{}, {"X-A": "1"}, {"x-a": "1", "X-B": "2"}]),
)


def naive(
    entries: list[RouteEntry], path: str, host: str, method: str, headers: dict[bytes, bytes]
) -> str | None:
    for e in entries:
        prefix = (e.path or "/").rstrip("/")
        if path != prefix and not path.startswith(prefix + "/"):
            continue
        if e.host is not None and host != e.host:
            suffix = e.host[1:] if e.host.startswith("*.") else None
            if suffix is None or not host.endswith(suffix):
                continue
        if e.methods and method not in e.methods:
            continue
        if any(headers.get(k.lower().encode()) != v.encode() for k, v in e.headers.items()):
            continue
        return e.pool
    return None


@given(
    st.lists(entry, max_size=60), path, host, st.sampled_from(["GET", "POST"]),
    st.sampled_from([{}, {b"x-a": b"1"}, {b"x-a": b"1", b"x-b": b"2"}]),
)  # fmt: skip
def test_the_index_answers_as_trying_the_routes_in_order_does(
    entries: list[RouteEntry], path: str, host: str, method: str, headers: dict[bytes, bytes]
) -> None:
    expected = naive(entries, path, host, method, headers)
    assert match(Routes(entries), path, host, method, headers) == expected


def test_a_thousand_routes_answer_as_trying_them_in_order_does() -> None:
    entries = [
        route(str(n), f"/s{n % 100}/{n % 7}", host=f"h{n % 9}" if n % 3 else None)
        for n in range(1000)
    ]
    routes = Routes(entries)
    for n in range(0, 1000, 7):
        case = (f"/s{n % 100}/{n % 7}/x", f"h{n % 9}", "GET", dict[bytes, bytes]())
        assert match(routes, *case) == naive(entries, *case)


def test_a_deep_path_costs_no_more_than_the_deepest_route() -> None:
    class Counting(dict[bytes, Any]):
        asked = 0

        def get(self, key: Any, default: Any = None) -> Any:
            self.asked += 1
            return super().get(key, default)

    routes = Routes([route("x", "/v1/x")])
    counting = Counting(routes._any_host)
    routes._any_host = counting
    assert match(routes, "/" * 16_000) is None
    assert match(routes, "/v1/x" + "/y" * 8_000) == "x"
    assert counting.asked <= 2 * (len("/v1/x") + 1)
