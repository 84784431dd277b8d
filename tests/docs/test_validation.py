"""What docs/validation.md shows is what there is."""

import ast
import re
from pathlib import Path

from components.example_validator.expressions import STATISTICS, Checks, check_columns
from pipelines.cli import _parser
from pipelines.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")


def test_the_steps_are_the_builders() -> None:
    [steps] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    pipeline: Pipeline = eval(f"(Pipeline('x')\n{steps})", {"Pipeline": Pipeline})
    assert len(pipeline._steps) == 2
    [call] = [n for n in ast.walk(ast.parse(f"(x\n{steps})")) if isinstance(n, ast.keyword)][2:3]
    checks = Checks(ast.literal_eval(call.value))
    check_columns(checks, ["fare"], "the page")


def test_the_columns_of_the_statistics_are_named() -> None:
    columns = re.findall(r"(\w+) (?:VARCHAR|BIGINT|DOUBLE)", STATISTICS)
    [row] = [line for line in PAGE.splitlines() if line.startswith("| `statistics`")]
    assert [word for word in re.findall(r"`(\w+)`", row) if word.islower()][1:] == columns


def test_the_commands_are_taken() -> None:
    commands = re.findall(r"^    beamfleet (schema .*?)(?:  +#.*)?$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        assert _parser().parse_args(words).command == "schema"
