"""The taxi pipeline beside plain TFX: how much wiring each of them is."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS, STOCK = ROOT / "pipelines" / "taxi.py", ROOT / "benchmarks" / "_taxi_stock.py"
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(text: str, *, imports: bool) -> int:
    """Lines with code: no blank ones, comments and docstrings, with or without imports."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            lines -= _of(node.body[0])
        if isinstance(node, ast.Import | ast.ImportFrom) and not imports:
            lines -= _of(node)
    return len(lines)


def _of(statement: ast.stmt) -> set[int]:
    return set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))


def test_lines_are_counted_as_the_docstring_says() -> None:
    text = '"""Doc\n\nstring."""\n\nimport a  # why\n\n# nothing\nx = (\n    1,\n)\n'
    text += 'def f():\n    """Doc."""\n    return """a\nb"""\n'
    assert code_lines(text, imports=True) == 1 + 3 + 3
    assert code_lines(text, imports=False) == 3 + 3


def test_the_wiring_is_short_and_that_of_plain_tfx_four_times_as_long() -> None:
    """Stock has nine nodes, without tuning, drift, infra validation and bulk inference: what ours
    has beside them is not counted in its favour. Both files are formatted by the same rules."""
    for imports in (True, False):
        ours, stock = (code_lines(f.read_text(), imports=imports) for f in (OURS, STOCK))
        assert ours <= 30
        assert stock >= 4 * ours


@pytest.mark.e2e
def test_the_plain_pipeline_is_one() -> None:
    from benchmarks._taxi_stock import create_pipeline

    built = create_pipeline("data", "root", str(ROOT / "benchmarks" / "_taxi_stock_functions.py"))
    assert {type(node).__name__ for node in built.components} == {
        "CsvExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Trainer",
        "Resolver", "Evaluator", "Pusher",
    }  # fmt: skip
