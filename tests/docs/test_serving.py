"""What docs/serving.md shows is taken as it stands."""

import json
import re
from pathlib import Path

from components.pusher.traffic import split_from
from pipelines import cli, steps
from pipelines.pipeline import Pipeline

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_call_is_taken() -> None:
    [call] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    step = eval(f"p{call.strip()}", {"p": Pipeline("shop")}).step(steps.PushTo)
    assert step.traffic.shares == (("challenger", 10), ("champion", 90))


def test_the_file_is_read() -> None:
    [text] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    content = json.loads(text)
    split = split_from(content["traffic"], content["version"], content["highest"])
    assert split.to_dict() == content["traffic"]


def test_the_commands_are_there() -> None:
    import shlex

    lines = re.findall(r"^    beamfleet (.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        cli._parser().parse_args(shlex.split(line))
