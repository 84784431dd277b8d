"""One real server of a pushed ensemble, shared by all tests here; the last ones update it."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.images.decode import decode
from components.infra_validator.client import INFER, JSON, Client
from components.infra_validator.hostile_images import hostile_images
from components.infra_validator.malformed import Malformed, malformed_requests
from components.infra_validator.process import ServerProcess, running_server
from components.model_server.ensembles import ServableEnsemble
from components.pusher.versions import PushedVersions
from tests.components.model_server.ensembles import (
    COLOURS,
    colour_bundle,
    image_request,
    noise,
    picture,
)

GOOD = image_request(picture())
HOSTILE = [*hostile_images(GOOD), *malformed_requests(GOOD, ServableEnsemble.max_body_bytes)]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> PushedVersions:
    folder = tmp_path_factory.mktemp("pushed")
    versions = PushedVersions(str(folder / "ensembles"))
    others = {"mauve": [255, 0, 0], "mint": [0, 255, 0], "navy": [0, 0, 255]}
    for number, colours in enumerate((COLOURS, others)):
        versions.push(colour_bundle(folder / str(number), colours), str(number), number, keep=5)
    versions.rollback()
    return versions


@pytest.fixture(scope="module")
def server(
    pushed: PushedVersions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with running_server(pushed.directory, tmp_path_factory.mktemp("server")) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.port) as connected:
        yield connected


def values(answer: Any, name: str) -> list[Any]:
    [found] = [tensor for tensor in answer.content["outputs"] if tensor["name"] == name]
    return [json.loads(text) for text in found["data"]]


def wait_for(client: Client, field: str, wanted: Callable[[Any], bool]) -> Any:
    for _ in range(600):
        content = client.call("GET", "/v2/models/model").content
        if wanted(content[field]):
            return content
        time.sleep(0.1)
    raise AssertionError(f"{field} is {content[field]} after 60 s")


def test_the_log_says_how_to_call_it(server: ServerProcess):
    url = f"http://127.0.0.1:{server.port}/v2/models/model"
    assert any(line.startswith(f"curl -s {url}/infer -H ") for line in server.log_tail())
    assert any(line.endswith(f"{url} is ready; call it by") for line in server.log_tail())


def test_a_photograph_larger_than_other_bodies_is_answered(client: Client):
    content = noise(2200, 1000)
    assert len(base64.b64encode(content)) > 8 * 1024 * 1024
    answer = client.infer(image_request(content, picture()))
    assert (answer.status, answer.content["model_version"]) == (200, "1")
    [large, small] = values(answer, "rank")
    assert sum(one["share"] for one in large) == pytest.approx(1)
    shares = dict(zip(COLOURS, (decode(picture()) == 255).mean((0, 1)).tolist(), strict=True))
    assert {one["text"]: one["share"] for one in small} == shares


def test_the_metadata_names_inputs_and_stages(client: Client):
    content = client.call("GET", "/v2/models/model").content
    assert [(t["name"], t["datatype"], t["shape"]) for t in content["inputs"]] == [
        ("image", "BYTES", [-1])
    ]
    assert [tensor["name"] for tensor in content["outputs"]] == ["name", "rank", "versions"]


@pytest.mark.parametrize("malformed", HOSTILE, ids=lambda m: m.case)
def test_hostile_requests_get_a_4xx_in_one_sentence(client: Client, malformed: Malformed):
    answer = client.call(malformed.method, malformed.path, malformed.body, malformed.headers)
    assert 400 <= answer.status < 500
    assert 0 < len(answer.error) < 400
    assert "Traceback" not in answer.error and "\n" not in answer.error
    assert client.is_ready()


def test_many_objects_in_a_body_do_not_end_it(client: Client, server: ServerProcess):
    body = b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [%s]}]}'
    for item in (b"{},", b'"",'):
        content = body % (item * 5_000_000)[:-1]
        assert client.call("POST", INFER, content, JSON).status == 400
    assert client.is_ready()
    assert client.infer(GOOD).status == 200


def test_the_other_version_is_swapped_in(client: Client, pushed: PushedVersions):
    before = values(client.infer(GOOD), "name")
    pushed.rollback(to=2)
    wait_for(client, "versions", lambda versions: versions == ["2"])
    answer = client.infer(GOOD)
    assert answer.content["model_version"] == "2"
    assert [one["text"] for one in values(answer, "name")[0]] == ["mauve", "mint", "navy"]
    assert [one["share"] for one in values(answer, "name")[0]] == [
        one["share"] for one in before[0]
    ]


def test_a_broken_version_is_not_taken_and_that_is_said(client: Client, pushed: PushedVersions):
    Path(pushed.version(1).path, "models/namer/palette.json").write_text("{}")
    pushed.rollback(to=1)
    content = wait_for(client, "parameters", lambda parameters: bool(parameters["stale"]))
    assert "SHA-256" in content["parameters"]["stale"]
    assert client.infer(GOOD).content["model_version"] == "2"
    assert client.is_ready()
