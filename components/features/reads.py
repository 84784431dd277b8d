"""What a function reads of globals, closures, imports and the attributes of modules."""

import ast
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from components.errors import BeamfleetError
from components.features.source_code import Written


def what_reads(
    function: types.FunctionType, written: Written, is_users: Callable[[types.ModuleType], bool]
) -> Iterator[tuple[str, Any]]:
    """Name -> what a function reads under it: of a user's module, `module.name`."""
    names = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if cell != types.CellType():  # empty: not yet defined
            names[name] = cell.cell_contents
    imported = dict(_imported(written.tree, function.__globals__))
    for name in sorted(written.names | set(imported)):
        value = imported.get(name, names.get(name))
        if name not in imported and name not in names:
            continue  # built in, or known only when it runs
        if not isinstance(value, types.ModuleType):
            yield name, value
        elif is_users(value):
            yield from _of_module(written.tree, name, value, is_users)
        else:
            yield name, value


def _imported(node: ast.AST, variables: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the imports inside a function bind."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            for alias in one.names:
                module = importlib.import_module(alias.name)
                top = sys.modules[alias.name.split(".")[0]]
                yield alias.asname or alias.name.split(".")[0], module if alias.asname else top
        elif isinstance(one, ast.ImportFrom):
            base = "." * one.level + (one.module or "")
            module = importlib.import_module(base, variables.get("__package__"))
            for alias in one.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{module.__name__}.{alias.name}")
                yield alias.asname or alias.name, getattr(module, alias.name)


def _of_module(
    node: ast.AST, name: str, module: types.ModuleType, is_users: Callable[[Any], bool]
) -> Iterator[tuple[str, Any]]:
    chains = [_chain(one) for one in ast.walk(node) if isinstance(one, ast.Attribute)]
    chains = [chain for chain in chains if chain[0] == name]
    alone = sum(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node))
    if alone > sum(len(chain) == 2 for chain in chains):
        raise BeamfleetError(
            f"module {module.__name__} is handed on as a value: use its functions by name "
            f"({name}.function), so that it can be said what is read of it"
        )
    for chain in sorted(set(chains)):
        value: Any = module
        for depth, part in enumerate(chain[1:], start=2):
            value = getattr(value, part, None)
            if not (isinstance(value, types.ModuleType) and is_users(value)):
                yield ".".join(chain[:depth]), value
                break


def _chain(node: ast.expr) -> tuple[str, ...]:
    """`a.b.c` as its parts; of anything else, a first part that is no name."""
    if isinstance(node, ast.Attribute):
        return (*_chain(node.value), node.attr)
    return (node.id,) if isinstance(node, ast.Name) else ("",)
