"""The code of a function as its author meant it: a syntax tree without what has no effect.

The same text gives the same tree under Python 3.11 to 3.13, which bytecode does not.
"""

import ast
import copy
import hashlib
import json
import linecache
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import Any

from components.errors import BeamfleetError

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_NO_EFFECT = frozenset({"ctx", "kind", "type_comment", "type_params"})


@dataclass(frozen=True)
class Written:
    """A function as it is written."""

    tree: Definition
    """Without docstrings, annotations, decorators and defaults."""
    digest: str
    """SHA-256 of the tree, without the function's own name."""
    text: str
    """For people."""
    names: frozenset[str]
    """What it reads and does not define: of globals, built-ins and closures."""


def parsed(function: FunctionType) -> Written:
    """Finds the code of a function.

    Defaults and what a decorator made are values, which are read from the function itself.

    Raises:
      BeamfleetError: its source is not to be found, or is not what was imported.
    """
    code = function.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    found = _parsed(code, text)
    if found is None or not _is_current(function, text):
        raise BeamfleetError(
            f"the code of {function.__qualname__} is not at {code.co_filename} line "
            f"{code.co_firstlineno}: define it in a file or a notebook's cell, and import it again "
            "if the file has changed since"
        )
    return found


@lru_cache(maxsize=4096)
def _parsed(code: CodeType, text: str) -> Written | None:
    found = [_bare(node) for node in _definitions(text) if _is_of(node, code)]
    if len(found) > 1:
        found = [_bare(node) for node in _on_that_place(_definitions(text), code)]
    if len({_digest(one) for one in found}) != 1:
        return None
    [tree, *_], written = found, ast.unparse(ast.fix_missing_locations(found[0]))
    return Written(tree, _digest(tree), written, frozenset(_names_read(written)))


def _digest(node: Definition) -> str:
    tree = [_tree(child) for child in ast.iter_child_nodes(node)]
    kind = "async" if isinstance(node, ast.AsyncFunctionDef) else "function"
    return hashlib.sha256(json.dumps([kind, tree]).encode()).hexdigest()


def _names_read(text: str) -> set[str]:
    table = symtable.symtable(text, "<definition>", "exec")
    return {name for child in table.get_children() for name in _globals_of(child)}


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_global() and symbol.is_referenced():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals_of(child)


@lru_cache(maxsize=256)
def _definitions(text: str) -> tuple[Definition, ...]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return tuple(node for node in ast.walk(tree) if isinstance(node, kinds))


def _is_current(function: FunctionType, text: str) -> bool:
    """Whether a file still gives the code that was imported of it."""
    if type(function.__globals__.get("__loader__")) is not SourceFileLoader:
        return True  # a notebook's cell, or a test that was rewritten
    return _essence(function.__code__) in _compiled(text, function.__code__.co_filename)


@lru_cache(maxsize=256)
def _compiled(text: str, filename: str) -> frozenset[str]:
    waiting, found = [compile(text, filename, "exec", dont_inherit=True)], set()
    while waiting:
        code = waiting.pop()
        found.add(_essence(code))
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
    return frozenset(found)


def _essence(code: CodeType) -> str:
    constants = [
        None if isinstance(one, CodeType) else sorted(map(repr, one)) if isinstance(one, frozenset)
        else repr(one) for one in code.co_consts
    ]  # fmt: skip
    return repr((code.co_name, code.co_firstlineno, code.co_code, code.co_names, constants))


def _is_of(node: Definition, code: CodeType) -> bool:
    """Whether the code begins where the definition does, under its name, with its arguments."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    line = min([node.lineno, *(one.lineno for one in decorators)])
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    given = node.args
    several = [one for one in (given.vararg, given.kwarg) if one]
    names = [one.arg for one in [*given.posonlyargs, *given.args, *given.kwonlyargs, *several]]
    own = tuple(names) == code.co_varnames[: len(names)]
    return own and name == code.co_name and line == code.co_firstlineno


def _on_that_place(nodes: tuple[Definition, ...], code: CodeType) -> list[Definition]:
    """Of several lambdas in a line: the innermost one around all columns of the code."""
    places = {place for place in code.co_positions() if None not in place and any(place[2:])}
    around = [
        node
        for node in nodes
        if _is_of(node, code)
        and all(_begin(node) <= (p[0], p[2]) and (p[1], p[3]) <= _end(node) for p in places)
    ]
    smallest = max(map(_begin, around), default=None)
    return [node for node in around if _begin(node) == smallest] if places else around


def _begin(node: Definition) -> tuple[int, int]:
    first = node.body if isinstance(node, ast.Lambda) else node.body[0]
    return first.lineno, first.col_offset


def _end(node: Definition) -> tuple[int, int]:
    last = node.body if isinstance(node, ast.Lambda) else node.body[-1]
    return last.end_lineno or 0, last.end_col_offset or 0


def _bare(node: Definition) -> Definition:
    bare = copy.deepcopy(node)
    if not isinstance(bare, ast.Lambda):
        bare.decorator_list = []
    bare.args.defaults, bare.args.kw_defaults = [], [None] * len(bare.args.kwonlyargs)
    _Bare().visit(bare)
    return bare


class _Bare(ast.NodeTransformer):
    """Takes away what has no effect when a function is called."""

    def visit(self, node: ast.AST) -> Any:
        changed = super().visit(node)
        if getattr(changed, "body", None) == []:
            changed.body = [ast.Pass()]
        return changed

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Python 3.12 has empty texts between the parts of an f-string, others have none."""
        node.values = [
            one for one in node.values if not (isinstance(one, ast.Constant) and one.value == "")
        ]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        plain = ast.Assign([node.target], node.value)
        return self.generic_visit(ast.copy_location(plain, node))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        kept = {n: one for n, one in enumerate(node.body) if isinstance(one, ast.AnnAssign)}
        for position in kept:  # fields of a dataclass
            node.body[position] = ast.Pass()
        self.generic_visit(node)
        return node if not kept else self._with(node, kept)

    def _with(self, node: ast.ClassDef, fields: dict[int, ast.AnnAssign]) -> ast.ClassDef:
        node.body = [*fields.values(), *(one for one in node.body if not isinstance(one, ast.Pass))]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not node.decorator_list:  # a decorator may read them
            node.returns = None
            for one in ast.walk(node.args):
                if isinstance(one, ast.arg):
                    one.annotation = None
        return self.generic_visit(node)


def _tree(node: Any) -> Any:
    """A tree as JSON values: what is absent, and where it stands in the file, is left out."""
    if isinstance(node, list):
        return [_tree(one) for one in node]
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__} {node!r}"
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return "import"  # what it binds is read from the modules
    fields = {
        name: _tree(value)
        for name, value in ast.iter_fields(node)
        if name not in _NO_EFFECT and (isinstance(node, ast.Constant) or value not in (None, []))
    }
    return [type(node).__name__, fields]
