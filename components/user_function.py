"""Finds the functions that a user writes, by dotted path."""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError
from components.native import shield_triton

_DATA_SUFFIXES = frozenset({".py", ".json", ".toml", ".yaml", ".yml", ".txt", ".csv", ".sql"})
_CODE_SUFFIXES = frozenset({".py", ".html", ".js", ".css"})
_MOST_DATA_BYTES = 1 << 20
_OWN = Path(__file__).parent
_ENGINES = (
    "apache-beam", "pyarrow", "tfx", "tfx-bsl", "tensorflow-data-validation",
    "tensorflow-model-analysis", "tensorflow-transform",
)  # fmt: skip
# The same function makes another model with another version of these.
_LIBRARIES = (
    "beamfleet", "numpy", "pandas", "polars", "scikit-learn", "xgboost", "xgboost-cpu", "lightgbm",
    "keras", "tensorflow", "torch", "transformers", "tokenizers", "safetensors", "pillow",
    "onnxruntime",
)  # fmt: skip


def load_function(dotted_path: str) -> Callable[..., Any]:
    """Imports `package.module.function`.

    Raises:
      BeamfleetError: the path has no dot, the module is missing or cannot be imported, or the name
        is not a function.
    """
    module_name, _, name = dotted_path.rpartition(".")
    if not module_name:
        raise BeamfleetError(
            f"{dotted_path!r} is not a dotted path; write it as 'user_code.census.train_fn'"
        )
    shield_triton()  # a user's module may import PyTorch, and TFX has imported TensorFlow
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or "\0"):
            raise BeamfleetError(
                f"no module {error.name!r} for {dotted_path!r}; it must be importable from the "
                "folder of the pipeline file"
            ) from None
        raise BeamfleetError(f"{module_name!r} cannot be imported: {described(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise BeamfleetError(f"module {module_name!r} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def described(error: BaseException, file: Path | None = None) -> str:
    """An error of a user's code in one line, with its last place in `file`, else its last."""
    if isinstance(error, SyntaxError):
        return f"{error.filename} line {error.lineno}: SyntaxError: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[:1] != "<"]
    ours = [f for f in frames if file is not None and Path(f.filename) == file]
    text = f"{type(error).__name__}: {error}"
    place = (ours or frames)[-1:]
    return f"{place[0].filename} line {place[0].lineno}: {text}" if place else text


def code_fingerprint(dotted_path: str) -> str:
    """SHA-256 over the code that a function may run.

    A cached or reused result must not outlive a change of the code that made it. What counts: all
    files of the function's top package (settings too, up to 1 MiB each), every module of the user's
    that these import, followed from file to file, and the versions of the libraries that train.
    """
    load_function(dotted_path)
    return source_fingerprint(dotted_path)


def source_fingerprint(dotted_path: str) -> str:
    """`code_fingerprint` without running the module, which may import a whole framework."""
    digest = hashlib.sha256(dotted_path.encode())
    for name, state in code_parts(dotted_path).items():
        digest.update(f"{name} {state}\n".encode())
    return digest.hexdigest()


def code_parts(dotted_path: str) -> dict[str, str]:
    """What `code_fingerprint` counts: library -> version, and file -> SHA-256."""
    module_name = dotted_path.rpartition(".")[0]
    source = _source_file(module_name) or _source_of_loaded(dotted_path)
    names = module_name.split(".")
    root = source.parents[len(names) - (source.name != "__init__.py")]
    files = {source}
    if (root / names[0]).is_dir():
        files |= set(_files_of(root / names[0]))
    parts = {library: _version(library) for library in _LIBRARIES}
    for path in sorted(_with_imports(files, root)):
        name = path.relative_to(root).as_posix()
        parts[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return parts


def _source_file(module_name: str) -> Path | None:
    """Where the module lies; None where that shows only once it is imported."""
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module_name) if module_name else None
    except (ImportError, ValueError):
        return None
    found = spec is not None and spec.origin is not None and spec.origin.endswith(".py")
    return Path(str(spec.origin)).resolve() if spec is not None and found else None


def _source_of_loaded(dotted_path: str) -> Path:
    load_function(dotted_path)
    return Path(str(sys.modules[dotted_path.rpartition(".")[0]].__file__)).resolve()


def own_fingerprint() -> str:
    """SHA-256 over the code of all components, and the versions of the libraries that they use."""
    digest = hashlib.sha256()
    for library in (*_LIBRARIES, *_ENGINES):
        digest.update(f"{library} {_version(library)}\n".encode())
    for path in sorted(_OWN.rglob("*")):
        if path.suffix in _CODE_SUFFIXES and path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(_OWN).as_posix()}:{content}\n".encode())
    return digest.hexdigest()


def _files_of(package: Path) -> Iterator[Path]:
    for path in package.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(package).parts)
        if path.suffix not in _DATA_SUFFIXES or hidden or not path.is_file():
            continue
        if path.suffix == ".py" or path.stat().st_size <= _MOST_DATA_BYTES:
            yield path


def _with_imports(files: set[Path], root: Path) -> set[Path]:
    """The files and all modules below `root` that they import, however far down."""
    if root.name.endswith("-packages"):  # installed: what stands beside it is not the user's
        return files
    found, waiting = set(files), [path for path in files if path.suffix == ".py"]
    while waiting:
        for path in _imported_files(waiting.pop(), root):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return found


def _imported_files(source: Path, root: Path) -> Iterator[Path]:
    for name in _imported_names(source, root):
        stem = root.joinpath(*name.split("."))
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if path.is_file() and _OWN not in path.parents:
                yield path


def _imported_names(source: Path, root: Path) -> Iterator[str]:
    """Dotted names of modules, and of what may be one: `from a import b` gives a and a.b."""
    package = list(source.relative_to(root).parts[:-1])
    try:
        tree = ast.parse(source.read_bytes())
    except SyntaxError:
        return  # nobody can import it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
        else:
            continue
        for name in filter(None, names):
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
