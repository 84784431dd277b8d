"""Finding a user's functions, and noticing that their code has changed."""

import sys

import pytest

from components.errors import BeamfleetError
from components.user_function import code_fingerprint, load_function


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes files of a project and forgets its modules afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


TRAIN = "def train_fn(examples, hparams):\n    return None\n"


@pytest.mark.parametrize(
    ("module", "files", "changed"),
    [
        ("mine.m", {"mine__m": TRAIN, "mine__other": "A = 1"}, "mine__other"),
        ("mine.m", {"mine__m": "import aside\n" + TRAIN, "aside": "A = 1"}, "aside"),
        ("mine.m", {"mine__m": "from lib import a\n" + TRAIN, "lib__a": "A = 1"}, "lib__a"),
        (
            "mine.m",
            {"mine__m": "import one\n" + TRAIN, "one": "from two import A", "two": "A = 1"},
            "two",
        ),
        (
            "mine.deep.m",
            {"mine__deep__m": "from ..shared import A\n" + TRAIN, "mine__shared": "A = 1"},
            "mine__shared",
        ),
        ("m", {"m": "import aside\n" + TRAIN, "aside": "A = 1"}, "aside"),
    ],
)
def test_a_change_of_what_the_function_may_run_is_noticed(project, module, files, changed):
    project(**files)
    before = code_fingerprint(f"{module}.train_fn")
    assert code_fingerprint(f"{module}.train_fn") == before
    project(**{changed: "A = 2"})
    assert code_fingerprint(f"{module}.train_fn") != before


def test_settings_beside_the_function_count(project, tmp_path):
    project(mine__m=TRAIN)
    (tmp_path / "mine" / "settings.json").write_text("1")
    before = code_fingerprint("mine.m.train_fn")
    (tmp_path / "mine" / "settings.json").write_text("2")
    assert code_fingerprint("mine.m.train_fn") != before


def test_what_the_function_does_not_import_does_not_count(project):
    project(mine__m=TRAIN, pipeline="A = 1")
    before = code_fingerprint("mine.m.train_fn")
    project(pipeline="A = 2", tests__t="A = 1")
    assert code_fingerprint("mine.m.train_fn") == before


def test_an_upgraded_library_counts(project, monkeypatch):
    project(mine__m=TRAIN)
    before = code_fingerprint("mine.m.train_fn")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    assert code_fingerprint("mine.m.train_fn") != before


def test_a_callable_object_is_a_function_too(project):
    project(mine__m="class F:\n    def __call__(self, e, h): ...\ntrain_fn = F()\n")
    assert code_fingerprint("mine.m.train_fn")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 / 0", r"'mine.m' cannot be imported: .*mine/m\.py line 1: ZeroDivisionError"),
        ("import nosuchlib", r"mine/m\.py line 1: ModuleNotFoundError: .* 'nosuchlib'"),
        ("def f(:", r"mine/m\.py line 1: SyntaxError"),
        ("x = 1", "has no function 'train_fn'"),
    ],
)
def test_a_broken_module_says_file_and_line(project, text, message):
    project(mine__m=text)
    with pytest.raises(BeamfleetError, match=message):
        load_function("mine.m.train_fn")
