"""`beamfleet init --data`: a project of the user's own rows."""

import ast
import json
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

from components.errors import BeamfleetError
from pipelines.commands.init import make_own_project
from pipelines.own_project import read_table
from tests.e2e.beamfleet import beamfleet, run


def table(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["no", "yes", "no", ""], ("no", "yes")),
        (["1", "0", "", "1"], (0, 1)),
        (["1.5", "2", "", "3"], ()),
        ([str(n) for n in range(21)], ()),
        ([str(n) for n in range(20)], tuple(range(20))),
    ],
)
def test_words_and_few_integers_are_classes(tmp_path, values, classes):
    file = table(tmp_path, "y,x\n" + "".join(f"{value},1\n" for value in values))
    found = read_table(file, "y", None)
    assert found.classes == classes
    assert found.task == ("classification" if classes else "regression")


@pytest.mark.parametrize("entity", [None, "x"])
@pytest.mark.parametrize("label", ["y", "z", 'a "quoted"\\ one'])
def test_what_is_written_is_python_whatever_the_columns_are_called(tmp_path, label, entity):
    header = 'x,y,z,"a ""quoted""\\ one"'
    file = table(tmp_path, f'{header}\na,"it\'s ""so""",1.5,2\nb,"$o\\",2.5,2\n')
    code = make_own_project(tmp_path / "class", file, label, entity)
    assert code == "user_code/own_class.py"  # `class` is no name of a module
    for name in ("pipeline.py", code):
        tree = ast.parse((tmp_path / "class" / name).read_text())
    constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    if entity is None:
        assert label in constants
        assert label != "y" or {'it\'s "so"', "$o\\"} <= set(constants)
    assert (tmp_path / "class" / "data" / "rows.csv").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("content", "label", "entity", "says"),
    [
        ("price,shop\n1,a\n", "prize", None, "no column 'prize'.*price"),
        ("price,shop\n1,a\n", "price", "store", "no column 'store'"),
        ("price,shop\n,a\n", "price", None, "column 'price' is empty"),
        ("", "price", None, "cannot be read as CSV"),
        ("a,a\n1,2\n", "a", None, "a column twice"),
        ("a,b\n1\n", "a", None, "cannot be read as CSV"),
    ],
)
def test_what_cannot_be_learnt_leaves_no_folder(tmp_path, content, label, entity, says):
    file = table(tmp_path, content)
    with pytest.raises(BeamfleetError, match=says):
        make_own_project(tmp_path / "new", file, label, entity)
    assert not (tmp_path / "new").exists()


def test_the_options_belong_together(tmp_path):
    assert "needs --label" in beamfleet("init", tmp_path / "a", "--data", "x.csv", code=1)
    assert "name that too" in beamfleet("init", tmp_path / "a", "--label", "x", code=1)


@pytest.mark.e2e
def test_a_librarys_data_set_runs_at_once(tmp_path):
    wine = load_wine(as_frame=True)
    frame = wine.frame.assign(target=[str(wine.target_names[n]) for n in wine.frame["target"]])
    frame.to_csv(tmp_path / "wine.csv", index=False)
    beamfleet("init", tmp_path / "wine", "--data", tmp_path / "wine.csv", "--label", "target")
    summary = run(tmp_path / "wine", "--root", tmp_path / "root")
    assert summary["examples"]["rows_in"] == 178
    assert summary["evaluation"]["blessed"], summary["evaluation"]
    assert summary["evaluation"]["overall"]["candidate"]["accuracy"] > 0.9
    predicted = json.loads(beamfleet("predict", tmp_path / "root", tmp_path / "wine.csv", "--json"))
    words = [row["prediction"] for row in predicted]
    assert sum(a == b for a, b in zip(words, frame["target"], strict=True)) > 160
