"""What the server says to paste works."""

import base64
import json
import subprocess

from components.model_server.example import example


def test_the_request_of_an_image_is_whole(tmp_path):
    photo = bytes(range(256)) * 1_000  # longer than an argument may be
    (tmp_path / "photo.jpg").write_bytes(photo)
    make, call = example("http://h:1/v2/models/m", [{"name": "image"}]).splitlines()
    subprocess.run(["bash", "-ec", make], cwd=tmp_path, check=True)
    request = json.loads((tmp_path / "request.json").read_text())
    [image] = request["inputs"]
    assert (image["name"], image["datatype"], image["shape"]) == ("image", "BYTES", [1])
    assert base64.b64decode(image["data"][0]) == photo
    assert call.startswith(
        "curl -s http://h:1/v2/models/m/infer -H 'Content-Type: application/json"
    )
    assert call.endswith("-d @request.json")


def test_a_row_has_a_value_of_each_type(tmp_path):
    names = {'it\'s "a" $(touch x)': "BYTES", "age": "INT64", "price": "FP64"}
    tensors = [{"name": n, "datatype": kind, "shape": [-1]} for n, kind in names.items()]
    command = example("http://h:1/v2/models/m", tensors)
    assert command.startswith("curl -s http://h:1/v2/models/m/infer -H ")
    program = command.replace("curl -s", "printf '%s\\n'", 1)  # what a shell makes of it
    said = subprocess.run(["bash", "-ec", program], cwd=tmp_path, capture_output=True, text=True)
    [*_, request] = said.stdout.splitlines()
    assert not (tmp_path / "x").exists()
    found = {one["name"]: (one["shape"], one["data"]) for one in json.loads(request)["inputs"]}
    assert list(found) == list(names)
    assert list(found.values()) == [([1], ["word"]), ([1], [1]), ([1], [1.5])]


def test_of_an_image_and_more_it_is_asked_first():
    tensors = [{"name": name} for name in ("image", "age")]
    assert example("http://h:1/v2/models/m", tensors) == "curl -s http://h:1/v2/models/m"
