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


def test_of_other_columns_it_is_asked_first():
    for names in (["age"], ["image", "age"]):
        tensors = [{"name": name} for name in names]
        assert example("http://h:1/v2/models/m", tensors) == "curl -s http://h:1/v2/models/m"
