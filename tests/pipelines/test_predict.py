"""`beamfleet predict`: each row by the model of its entity, or a word about why not."""

from dataclasses import replace

import pytest

from components.pusher.versions import PushedVersions
from pipelines import cli
from tests.components.ensemble.bundles import make_bundle
from tests.components.entity_models.stores import SPEC, rows, train, write

HEADER = "place, word, count, size\n"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """Models for the entities 1 and 2.5 of a column of numbers, and the fallback."""
    folder = tmp_path_factory.mktemp("predict")
    model = train(rows(100))
    spec = replace(SPEC, entity_types=("double",))
    uri = write(str(folder / "store"), [("1", model), ("2.5", model)], spec, fallback=model)
    return PushedVersions(str(folder / "pushed")).push(uri, "a", 0, keep=5).path.rpartition("/")[0]


def predict(pushed, tmp_path, captured, content):
    (tmp_path / "rows.csv").write_text(content)
    code = cli.main(["predict", pushed, str(tmp_path / "rows.csv")])
    printed = captured.readouterr()
    return code, printed.out.splitlines()[1:], printed.err


def test_each_row_finds_the_model_of_its_entity(pushed, tmp_path, capfd):
    content = HEADER + "1.0, a, 1, 2\n 2.5, ?, 1, 2\n3.0, b, 1, 2\n"
    code, lines, said = predict(pushed, tmp_path, capfd, content)
    found = [tuple(line.split(",")[i] for i in (0, 2)) for line in lines]
    assert found == [('"1"', "false"), ('"2.5"', "false"), ('"3"', "true")]
    assert (code, said) == (0, "")


def test_it_says_if_no_row_has_a_model_of_its_own(pushed, tmp_path, capfd):
    code, _, said = predict(pushed, tmp_path, capfd, HEADER + "7, a, 1, 2\n8, a, 1, 2\n")
    assert code == 0
    assert said.startswith("all 2 rows were predicted by the fallback: no place in ")


def test_a_row_without_entity_has_no_prediction(pushed, tmp_path, capfd):
    code, lines, _ = predict(pushed, tmp_path, capfd, HEADER + "?, a, 1, 2\n")
    assert code == 1
    assert lines[0].endswith('"entity key missing"')


def test_rows_that_cannot_be_read_are_named_and_the_status_says_so(pushed, tmp_path, capfd):
    code, lines, said = predict(pushed, tmp_path, capfd, HEADER + "1.0, a, 1, 2\n1, a, one, 2\n")
    assert (code, len(lines)) == (1, 1)
    assert "rows.csv line 3 cannot be read: column 'count': 'one' is not of type int64" in said


def test_an_ensemble_says_what_to_do_instead(tmp_path, capfd):
    uri = make_bundle(tmp_path / "bundle", 2.0)
    PushedVersions(str(tmp_path / "pushed")).push(uri, "a", 0, keep=5)
    code, _, said = predict(str(tmp_path / "pushed"), tmp_path, capfd, "x\n1\n")
    assert code == 1
    assert "is an ensemble" in said
    assert "beamfleet serve" in said
