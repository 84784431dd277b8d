"""Of a user's function counts what it does, not where it stands or how it is laid out."""

import importlib
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import BeamfleetError
from components.features.code import described_value
from components.features.definition import fingerprint_of

_COUNT = itertools.count()
Fingerprint = Callable[..., str]


@pytest.fixture
def of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fingerprint:
    """Fingerprint of `name` in a module of this text; `{other}` is a second module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def fingerprinted(text: str, name: str = "f", other: str = "") -> str:
        return fingerprint_of({"": described_value(imported(text, name, other), "a test")})

    def imported(text: str, name: str, other: str) -> Any:
        number = next(_COUNT)
        tmp_path.joinpath(f"other_{number}.py").write_text(other)
        tmp_path.joinpath(f"user_{number}.py").write_text(text.replace("OTHER", f"other_{number}"))
        importlib.invalidate_caches()
        return getattr(importlib.import_module(f"user_{number}"), name)

    return fingerprinted


PLAIN = "def f(x):\n    return x + 1\n"
SAME = {
    "comment": "def f(x):\n    # more\n    return x + 1  # one\n",
    "docstring": 'def f(x):\n    """One more."""\n    return x + 1\n',
    "place": "import os\n\n\n\n" + PLAIN,
    "layout": "def f(x): return (x\n + 1)\n",
    "annotations": "def f(x: int) -> int:\n    return x + 1\n",
    "its own name": "def g(x):\n    return x + 1\nf = g\n",
    "unread globals": "A = 3\ndef h(): pass\n" + PLAIN,
    "number's spelling": "def f(x):\n    return x + 0x1\n",
}
OTHER = {
    "operator": "def f(x):\n    return x - 1\n",
    "constant": "def f(x):\n    return x + 2\n",
    "type of constant": "def f(x):\n    return x + 1.0\n",
    "default": "def f(x=1):\n    return x + 1\n",
    "argument": "def f(x, y):\n    return x + 1\n",
    "async": "async def f(x):\n    return x + 1\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_has_no_effect_does_not_count(of: Fingerprint, text: str) -> None:
    assert of(text) == of(PLAIN)


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_another_code_is_another(of: Fingerprint, text: str) -> None:
    assert of(text) != of(PLAIN)


READS = {
    "global": "K = {v}\ndef f(x): return x + K\n",
    "nested constant": "K = dict(a=[1, (2, {v})])\ndef f(x): return K\n",
    "set": "K = dict(a=frozenset([5, {v}]))\ndef f(x): return K\n",
    "float": "K = float('nan') if {v} == 1 else 0.0\ndef f(x): return K\n",
    "default": "def f(x, y={v}): return x + y\n",
    "keyword default": "def f(x, *, y={v}): return x + y\n",
    "closure": "def made(k):\n  def g(x): return x + k\n  return g\nf = made({v})\n",
    "called": "def h(x): return x + {v}\ndef f(x): return h(x)\n",
    "called by called": "def i(x): return {v}\ndef h(x): return i(x)\ndef f(x): return h(x)\n",
    "in a nested function": "K = {v}\ndef f(x):\n  def g(): return K\n  return g()\n",
    "in a comprehension": "K = {v}\ndef f(x): return [K for _ in x]\n",
    "lambda": "f = lambda x: x + {v}\n",
    "first lambda of a line": "f, g = lambda x: x + {v}, lambda x: x + 7\n",
    "last lambda of a line": "g, f = lambda x: x + 7, lambda x: x + {v}\n",
    "inner lambda": "f = (lambda x: lambda x: x + {v})(1)\n",
    "outer lambda": "f = lambda x: (lambda x: x)({v})\n",
    "partial": "import functools\ndef g(x, y): return x + y\nf = functools.partial(g, {v})\n",
    "lru_cache": "import functools\n@functools.lru_cache\ndef f(x): return x + {v}\n",
    "decorator": "import functools\ndef by(k):\n  def d(g):\n    @functools.wraps(g)\n"
    "    def w(x): return g(x) + k\n    return w\n  return d\n@by({v})\ndef f(x): return x\n",
    "decorated": "import functools\ndef by(g):\n  @functools.wraps(g)\n  def w(x): return g(x)\n"
    "  return w\n@by\ndef f(x): return x + {v}\n",
    "callable object": "class A:\n  def __init__(self, k): self.k = k\n"
    "  def __call__(self, x): return self.k\nf = A({v})\n",
    "method": "class A:\n  k = {v}\n  def g(self, x): return self.k\nf = A().g\n",
    "class": "class A:\n  @staticmethod\n  def g(x): return {v}\ndef f(x): return A.g(x)\n",
    "base": "class B:\n  def g(self): return {v}\nclass A(B): pass\ndef f(x): return A().g()\n",
    "property": "class A:\n  @property\n  def g(self): return {v}\ndef f(x): return A().g\n",
    "dataclass": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n"
    "  a: int = 5\nK = A({v})\ndef f(x): return K.a\n",
    "enum": "import enum\nclass E(enum.Enum):\n  A = {v}\ndef f(x): return E.A\n",
    "expression": "import polars as pl\nK = pl.col('a') > {v}\ndef f(x): return x.filter(K)\n",
    "series": "import polars as pl\nK = pl.Series([4, {v}])\ndef f(x): return K\n",
    "array": "import numpy as np\nK = np.array([4, {v}])\ndef f(x): return K\n",
    "pattern": "import re\nK = re.compile('a{{{v}}}')\ndef f(x): return K.match(x)\n",
    "recursion": "def f(x): return f(x - {v}) if x else 0\n",
    "mutual recursion": "def f(x): return g(x - 1)\ndef g(x): return f(x) if x else {v}\n",
    "named tuple": "import collections\nT = collections.namedtuple('T', 'a b')\nK = T({v}, 0)\n"
    "def f(x): return K.a\n",
    "typed tuple": "import typing\nclass T(typing.NamedTuple):\n  a: int\n  b: int = 9\n"
    "K = T({v})\ndef f(x): return K.a\n",
    "ordered": "import collections\nK = collections.OrderedDict(a={v})\ndef f(x): return K\n",
    "own text": "class T(str): pass\nK = T({v})\ndef f(x): return K\n",
    "enum's member": "import enum\nclass E(enum.IntEnum):\n  A = {v}\nK = E.A\n"
    "def f(x): return K\n",
    "timedelta": "import datetime\nK = datetime.timedelta({v})\ndef f(x): return x + K\n",
}


@pytest.mark.parametrize("text", READS.values(), ids=READS)
def test_what_it_reads_counts(of: Fingerprint, text: str) -> None:
    one, two, again = (of(text.replace("{{", "{").format(v=v) if "{{" not in text else
                          text.format(v=v)) for v in (1, 2, 1))  # fmt: skip
    assert one == again
    assert one != two


MODULES = {
    "import": "import OTHER\ndef f(x): return OTHER.g(x)\n",
    "import as": "import OTHER as o\ndef f(x): return o.g(x)\n",
    "from import": "from OTHER import g\ndef f(x): return g(x)\n",
    "import inside": "def f(x):\n  import OTHER as o\n  return o.g(x)\n",
    "from import inside": "def f(x):\n  from OTHER import g\n  return g(x)\n",
}


@pytest.mark.parametrize("text", MODULES.values(), ids=MODULES)
def test_functions_of_other_modules_are_followed(of: Fingerprint, text: str) -> None:
    other = "K = {k}\nUNREAD = {u}\ndef g(x): return x + K\n"
    one = of(text, other=other.format(k=1, u=1))
    if "OTHER." not in text:  # else the name of the module stands in the code
        assert of(text, other="# moved\n" + other.format(k=1, u=2)) == one
    assert of(text, other=other.format(k=2, u=1)) != one


def test_an_inner_lambda_is_itself_wherever_it_stands(of: Fingerprint) -> None:
    alone = of("f = lambda x: x + 1\n")
    assert of("f = (lambda x: [x, lambda x: x + 1][1])(7)\n") == alone
    assert of("f = (lambda x: (lambda x: x + 1, 8)[0])(7)\n") == alone


def test_packages_are_not_followed(of: Fingerprint) -> None:
    [read] = described_value(_uses_polars, "a test")["reads"].values()
    assert read == {"of": "polars 2"}


def test_runtime_caches_of_an_object_do_not_count(of: Fingerprint) -> None:
    text = (
        "from functools import cached_property\nclass A:\n  @cached_property\n"
        "  def g(self): return 1\nK = A()\n{more}\ndef f(x): return K.g\n"
    )
    assert of(text.format(more="")) == of(text.format(more="K.g"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import threading\nK = threading.Lock()\ndef f(x): return K\n", "K, which f reads"),
        ("exec('def f(x): return x')\n", "define it in a file"),
        ("import OTHER\ndef f(x): return getattr(OTHER, x)\n", "handed on as a value"),
        ("K = []\nK.append(K)\ndef f(x): return K\n", "holds itself"),
    ],
)
def test_what_cannot_be_told_is_refused(of: Fingerprint, text: str, said: str) -> None:
    with pytest.raises(BeamfleetError, match=said):
        of(text)


def test_a_file_that_changed_since_its_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    tmp_path.joinpath("user_changed.py").write_text(PLAIN)
    function = importlib.import_module("user_changed").f
    tmp_path.joinpath("user_changed.py").write_text("def f(x):\n    return x + 22\n")
    with pytest.raises(BeamfleetError, match="has changed since"):
        described_value(function, "a test")


_PRINT = (
    "import sys; sys.path[:0] = [sys.argv[1], '.']\n"
    "from components.features.code import described_value\n"
    "from components.features.definition import fingerprint_of\n"
    "import stable\nprint(fingerprint_of({'': described_value(stable.f, 'f')}))\n"
)
_STABLE = '''
import functools, enum
from dataclasses import dataclass
K = {"b": {3, 1, "x", ("y", 2.5)}, "a": frozenset("hello")}
class Kind(enum.Enum):
    A = "a"
@dataclass(frozen=True)
class Half:
    part: float = 0.5
    def __call__(self, x: float) -> float:
        """Doc."""
        name = f"{x!r:>{10}} {K['b']} {x=}"
        match x:
            case {"a": [1, *rest], **more} if rest:
                return super().__call__
            case _:
                return [y for y in (lambda z: z * self.part)(x) if (w := y)]
@functools.lru_cache
def g(x, /, *a, k: int = 3, **b):
    with open(x) as one, open(x) as two:
        yield from (K, Kind.A, HALF, one)
HALF = functools.partial(Half(0.25), 3)
def f(x):
    try:
        async def h(): await x
        return g(x, k=x[1:2, ...]), h
    except* ValueError as e:
        raise e from None
'''


def test_processes_seeds_and_pythons_agree(tmp_path: Path) -> None:
    tmp_path.joinpath("stable.py").write_text(_STABLE)
    pythons = [sys.executable, *map(str, _OTHER_PYTHONS)]
    runs = [(python, seed) for python in pythons for seed in ("1", "2")]
    said = {
        subprocess.run(
            [python, "-c", _PRINT, tmp_path], env={"PYTHONHASHSEED": seed}, cwd=_ROOT,
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for python, seed in runs
    }  # fmt: skip
    assert len(said) == 1


def _uses_polars(events: Any) -> Any:
    return events.select(pl.col("a"))


import polars as pl  # noqa: E402

_ROOT = Path(__file__).parents[3]
_OTHER_PYTHONS = [
    path
    for minor in (12, 13)
    for path in sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3"))[:1]
]
