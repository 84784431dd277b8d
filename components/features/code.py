"""What a user's function means: its code, the code that it calls, and the values that it reads."""

import collections
import enum
import functools
import sys
import types
from typing import Any

from components.errors import BeamfleetError
from components.features.origin import Origin, library, origin
from components.features.plain_values import plain_value
from components.features.reads import what_reads
from components.features.source_code import parsed

WRITTEN = "#written"
"""Key of the text of a function, for people: its tree is what counts."""

_NOT_MEANT = frozenset({
    "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__",
    "__classcell__", "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__",
    "__firstlineno__",
    "__match_args__", "__module__", "__orig_bases__", "__parameters__", "__qualname__",
    "__replace__", "__static_attributes__", "__type_params__", "__weakref__", "__hash__",
    "__abstractmethods__", "__repr__", "__str__", "_abc_impl",
})  # fmt: skip
_CONTAINERS = (list, tuple, set, frozenset, dict, types.MappingProxyType, collections.deque)


def described_value(value: Any, what: str) -> Any:
    """JSON values that say what a function, an object or a constant means.

    Functions and classes of the user are followed wherever they lie; of installed packages the name
    and the release counts, of Python and Beamfleet the name.

    Args:
      what: Names it in an error.

    Raises:
      BeamfleetError: something that it reads has no meaning that could be written down.
    """
    try:
        return _Reader(what, value).value(value, what)
    except RecursionError:
        raise BeamfleetError(f"{what} reads a value that holds itself") from None


class _Reader:
    """Follows one value; what comes again is a number, so that recursion ends."""

    def __init__(self, what: str, root: Any) -> None:
        self.what = what
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []  # an id is one only while its object lives
        self.own = _module_of(root).split(".")[0]

    def value(self, value: Any, where: str) -> Any:
        """Of anything."""
        if isinstance(value, enum.Enum):
            return {"member": [self.value(type(value), where), value.name]}
        if isinstance(value, _CONTAINERS):
            return self._container(value, where)
        if value is None or (plain := plain_value(value)) is not None:
            return None if value is None else plain
        if id(value) in self.seen:
            return {"again": self.seen[id(value)]}
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return {"partial": [self.value(part, where) for part in parts]}
        if isinstance(value, types.MethodType):
            pair = (value.__func__, value.__self__)
            return {"method": [self.value(part, where) for part in pair]}
        if isinstance(wrapped := getattr(value, "__wrapped__", None), types.FunctionType) and (
            isinstance(value, functools._lru_cache_wrapper)
        ):
            return self.value(wrapped, where)
        return self._object(value, where)

    def _container(self, value: Any, where: str) -> Any:
        kind = type(value)
        if isinstance(value, (dict, types.MappingProxyType)):
            parts = [[self.value(k, where), self.value(v, where)] for k, v in value.items()]
        else:
            parts = [self.value(one, where) for one in value]
        if isinstance(value, (set, frozenset)):
            parts.sort(key=repr)
        if kind.__module__ == "builtins":
            return {kind.__name__: parts}
        return {"type": self.value(kind, where), "parts": parts}

    def _object(self, value: Any, where: str) -> Any:
        module = _module_of(value)
        place = self._origin(module)
        if isinstance(value, types.FunctionType) and place is Origin.USER:
            return self._function(value)
        if isinstance(value, type) and place is Origin.USER:
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return {"of": library(module)}
        if callable(value) and hasattr(value, "__qualname__"):
            around = getattr(value, "__wrapped__", None)  # a library's decorator
            wraps = {"wraps": self.value(around, where)} if around is not None else {}
            return {"of": library(module), "name": value.__qualname__, **wraps}
        if place is Origin.LIBRARY and (name := _known_as(value)):
            return {"of": library(module), "name": name}
        if place is Origin.USER or place is Origin.OURS:
            kind, fields = self.value(type(value), where), self._fields(value, where)
            base = next((one for one in (str, int, float, bytes) if isinstance(value, one)), None)
            content = {"content": plain_value(base(value))} if base else {}
            return {"object": kind, "fields": fields, **content}
        raise BeamfleetError(
            f"{self.what}: {where} is a {type(value).__module__}.{type(value).__qualname__}, of "
            "which cannot be said whether it has changed; make it inside the function, or of "
            "constants"
        )

    def _fields(self, value: Any, where: str) -> Any:
        names = dict.fromkeys(getattr(value, "__dict__", {}))
        for one in type(value).__mro__:
            slots = one.__dict__.get("__slots__", ())
            names |= dict.fromkeys([slots] if isinstance(slots, str) else slots)
        if hasattr(type(value), "of"):  # an aggregator's column may be its class's
            names["of"] = None
        self._remember(value)
        fields = {
            name: self.value(getattr(value, name), f"{where}.{name}")
            for name in sorted(names)
            if hasattr(value, name) and not _is_cached(type(value), name)
        }
        del self.seen[id(value)]  # an equal object means the same as this one once more
        return fields

    def _function(self, function: types.FunctionType) -> Any:
        self._remember(function)
        written, name = parsed(function), function.__qualname__
        described: dict[str, Any] = {WRITTEN: written.text, "code": written.digest}
        defaults = [
            function.__defaults__ or (),
            dict(sorted((function.__kwdefaults__ or {}).items())),
        ]
        if any(defaults):
            described["defaults"] = self.value(defaults, f"a default of {name}")
        reads = sorted(what_reads(function, written, self._is_users), key=lambda pair: pair[0])
        if reads:
            described["reads"] = {
                label: self.value(value, f"{label}, which {name} reads,") for label, value in reads
            }
        return described

    def _class(self, kind: type) -> Any:
        self._remember(kind)
        if issubclass(kind, enum.Enum):
            return {"enum": [[one.name, self.value(one.value, kind.__name__)] for one in kind]}
        members = {}
        for name, member in sorted(vars(kind).items()):
            if name not in _NOT_MEANT and not _made_by_python(kind, name, member):
                members[name] = self.value(_parts(member), f"{kind.__qualname__}.{name}")
        bases = [self.value(base, f"a base of {kind.__qualname__}") for base in kind.__bases__]
        return {WRITTEN: f"class {kind.__name__}", "bases": bases, "members": members}

    def _remember(self, value: Any) -> None:
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)

    def _origin(self, module: str) -> Origin:
        """Where the function itself is installed, its own package is still the user's."""
        place = origin(module)
        mine = place is Origin.LIBRARY and module.split(".")[0] == self.own
        return Origin.USER if mine else place

    def _is_users(self, module: types.ModuleType) -> bool:
        return self._origin(module.__name__) is Origin.USER


def _module_of(value: Any) -> str:
    """Where its code is: `functools.wraps` gives a function the module of another."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, types.FunctionType):
        return str(value.__globals__.get("__name__", "__main__"))
    named = isinstance(value, type) or hasattr(value, "__qualname__")
    return str(getattr(value if named else type(value), "__module__", None) or "builtins")


def _parts(member: Any) -> Any:
    """The functions of a class's member."""
    if isinstance(member, (staticmethod, classmethod)):
        return [type(member).__name__, member.__func__]
    if isinstance(member, property):
        return ["property", member.fget, member.fset, member.fdel]
    if isinstance(member, functools.cached_property):
        return ["property", member.func]
    return member


def _made_by_python(kind: type, name: str, member: Any) -> bool:
    """Whether it is a method of every dataclass, or the place of an attribute in an object."""
    if isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)):
        return True
    code = getattr(getattr(member, "__func__", member), "__code__", None)
    made = code is not None and code.co_filename == "<string>" and name.startswith("__")
    of_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")  # a named one
    if of_tuple and type(member).__name__ == "_tuplegetter":
        return True
    return made and (of_tuple or "__dataclass_fields__" in vars(kind))


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), functools.cached_property)


def _known_as(value: Any) -> str | None:
    """The name of an object in its library: `col` of polars."""
    top = sys.modules.get(type(value).__module__.split(".")[0])
    return next((name for name, one in sorted(vars(top).items()) if one is value), None)
