"""Compiles the request path, from the same source that runs without compiling.

A wheel built where there is a C compiler holds the modules of HOT as extension modules too;
without a compiler, in an editable install, or with HEADRACE_COMPILE=0 it is plain Python. The
classes of these modules that declare `__slots__` become extension types: for Cython that is
said in a `.pxd` file beside the source, and all that stands in one follows from the slots, so
they are written here, beside a copy of the source. See docs/adr/0016-compiled-request-path.md.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).parent
COPY = HERE / "build" / "cython"
HOT = ("fleet/telemetry/histogram.py", "router/*.py", "router/balance/*.py", "router/http/*.py")
PLAIN = {"router/dialling.py", "router/doors.py", "router/negotiation.py", "router/worker.py"}
"""Run once a worker or once a connection, or are made of coroutines."""
FLAGS = ["-O2", "-g0"]


class Slotted:
    """A class that declares `__slots__`, with the annotation of each slot where there is one."""

    def __init__(self, module: str, node: ast.ClassDef, names: list[str]) -> None:
        self.module = module
        self.name = node.name
        self.bases = [ast.unparse(base) for base in node.bases]
        self.methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
        known: dict[str, str] = {}
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                known = _annotations(method)
        self.slots = {name: known.get(name, "") for name in names}


def _annotations(init: ast.FunctionDef) -> dict[str, str]:
    """What `__init__` says of the attributes it sets: `self.x: T`, or `self.x = parameter`."""
    parameters = {a.arg: ast.unparse(a.annotation) for a in init.args.args if a.annotation}
    known = {}
    for line in init.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Attribute):
            known[line.target.attr] = ast.unparse(line.annotation)
        elif (
            isinstance(line, ast.Assign)
            and isinstance(line.targets[0], ast.Attribute)
            and isinstance(line.value, ast.Name)
        ):
            known[line.targets[0].attr] = parameters.get(line.value.id, "")
    return known


def _simple(method: ast.FunctionDef) -> bool:
    """Whether it can be a C method."""
    closures = (ast.FunctionDef, ast.Lambda, ast.GeneratorExp, ast.Yield, ast.SetComp)
    a = method.args
    return not (
        method.name.startswith("__")
        or method.decorator_list
        or a.vararg
        or a.kwarg
        or a.kwonlyargs
        or a.posonlyargs
        or any(isinstance(n, closures) for n in ast.walk(method) if n is not method)
        or any(isinstance(n, ast.Name) and n.id == "super" for n in ast.walk(method))
    )


def modules() -> list[str]:
    """Paths of the modules to compile, below the root."""
    found = (path for pattern in HOT for path in HERE.glob(pattern))
    names = (path.relative_to(HERE).as_posix() for path in found)
    return sorted(n for n in names if not n.endswith("__init__.py") and n not in PLAIN)


def slotted(module: str) -> list[Slotted]:
    """The classes of a module that declare slots, in their order."""
    classes = []
    for node in ast.parse((HERE / module).read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.decorator_list:
            for line in node.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__slots__":
                    slots = ast.literal_eval(line.value)
                    names = [slots] if isinstance(slots, str) else list(slots)
                    classes.append(Slotted(module, node, names))
    return classes


class Declarations:
    """Which classes become extension types, and the text of the `.pxd` of each module."""

    def __init__(self, sources: list[str]) -> None:
        self._scopes: dict[str, dict[str, Slotted]] = {}
        """Of each module, the slotted classes it knows by name: its own and imported ones."""
        own = {source: {one.name: one for one in slotted(source)} for source in sources}
        for source in sources:
            imported = {
                alias.name: found
                for module, alias in _imports(source)
                if (found := own.get(_path(module), {}).get(alias.name))
            }
            self._scopes[source] = {**imported, **own[source]}
        self._classes = [one for classes in own.values() for one in classes.values()]
        self._handed_on = {name for source in sources for name in _handed_on(source)}

    def text(self, source: str) -> str:
        """The declarations of one module."""
        scope = self._scopes[source]
        lines = [
            f"from {module} cimport {alias.name}"
            for module, alias in _imports(source)
            if alias.name in scope and self._compiles(scope[alias.name])
        ]
        for one in scope.values():
            if one.module == source and self._compiles(one):
                base = f"({one.bases[0]})" if one.bases else ""
                lines.append(f"cdef class {one.name}{base}:")
                lines += [
                    f"    cdef public {self._declared(scope, kind)} {slot}"
                    for slot, kind in one.slots.items()
                ]
                lines += [
                    f"    {self._signature(scope, method)}"
                    for name, method in one.methods.items()
                    if self._called_directly(one, name)
                ]
                lines.append("    pass")
        return "\n".join(lines) + "\n"

    def _compiles(self, one: Slotted) -> bool:
        bases = self._bases(one)
        return len(bases) == len(one.bases) and all(map(self._compiles, bases))

    def _bases(self, one: Slotted) -> list[Slotted]:
        scope = self._scopes[one.module]
        return [scope[name] for name in one.bases if name in scope]

    def _declared(self, scope: dict[str, Slotted], annotation: str) -> str:
        name = annotation.removesuffix(" | None")
        return name if name in scope and self._compiles(scope[name]) else "object"

    def _family(self, one: Slotted) -> list[Slotted]:
        """The class with all above and below it."""
        family, grown = [one], True
        while grown:
            more = [b for c in family for b in self._bases(c)]
            more += [c for c in self._classes if any(b in family for b in self._bases(c))]
            new = [c for c in more if c not in family]
            family += dict.fromkeys(new)
            grown = bool(new)
        return family

    def _called_directly(self, one: Slotted, name: str) -> bool:
        methods = [m for c in self._family(one) if (m := c.methods.get(name))]
        if name in self._handed_on:
            return False
        return all(map(_simple, methods)) and len({ast.dump(m.args) for m in methods}) == 1

    def _signature(self, scope: dict[str, Slotted], method: ast.FunctionDef) -> str:
        parameters = ["self"]
        plain = len(method.args.args) - len(method.args.defaults)
        for number, a in enumerate(method.args.args[1:], 1):
            kind = self._declared(scope, ast.unparse(a.annotation) if a.annotation else "")
            parameters.append(f"{kind} {a.arg}" + ("=*" if number >= plain else ""))
        return f"cpdef {method.name}({', '.join(parameters)})"


def _imports(source: str) -> Iterator[tuple[str, ast.alias]]:
    """Names and the modules they come from, but those for type checkers: they go in circles, and
    an extension module needs what it declares before its own body runs.
    """
    for node in ast.parse((HERE / source).read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias


def _handed_on(source: str) -> set[str]:
    """Names of attributes that are used otherwise than called: a method among them is a value."""
    nodes = list(ast.walk(ast.parse((HERE / source).read_text())))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and id(n) not in called}


def _path(module: str) -> str:
    return module.replace(".", "/") + ".py"


def extensions() -> list[Extension]:
    """What to compile; nothing where that is not wanted or Cython is absent."""
    if os.environ.get("HEADRACE_COMPILE") == "0" or "editable_wheel" in sys.argv:
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    sources = modules()
    shutil.rmtree(COPY, ignore_errors=True)
    for module in sources:
        target = COPY / module
        for package in target.relative_to(COPY).parents[:-1]:
            (COPY / package).mkdir(parents=True, exist_ok=True)
            (COPY / package / "__init__.py").touch()
        shutil.copy(HERE / module, target)
    declarations = Declarations(sources)
    for module in sources:
        (COPY / module).with_suffix(".pxd").write_text(declarations.text(module))
    found = [
        Extension(
            module.removesuffix(".py").replace("/", "."),
            [str((COPY / module).relative_to(HERE))],
            extra_compile_args=FLAGS,
            optional=True,
        )
        for module in sources
    ]
    made: list[Extension] = cythonize(
        found,
        include_path=[str(COPY)],
        compiler_directives={
            "language_level": 3,
            "annotation_typing": False,
            "binding": False,
            "nonecheck": True,
        },
        quiet=True,
    )
    return made


if __name__ == "__main__":
    setup(ext_modules=extensions())
