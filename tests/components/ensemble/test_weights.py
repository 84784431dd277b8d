"""Where weights come from, and which files are taken: never what runs code."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from components.ensemble.bundle import Bundle, write_bundle
from components.ensemble.weight_files import weight_files
from components.ensemble.weights import ModelSource, hash_of_files
from components.errors import BeamfleetError
from tests.components.ensemble.bundles import FUNCTION, write_model

EMPTY = (2).to_bytes(8, "little") + b"{}"
"""A safetensors file without tensors."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(write_model(tmp_path / "model", 3))


def put(folder: Path, name: str, content: bytes = b"") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_weights_and_settings_are_taken_and_the_rest_is_said(folder, caplog):
    for name in ("model.safetensors", "tower/model-1.safetensors", "vocab.txt", "m.onnx"):
        put(folder, name, EMPTY)
    for name in (".git/config.json", ".cache/x.txt", ".hidden.json"):
        put(folder, name)
    for name in ("README.md", "pytorch_model.bin", "optimizer.pt", "odd\nname.txt"):
        put(folder, name)
    os.mkfifo(folder / "pipe.json")
    (folder / "linked.json").symlink_to("tower")
    with put(folder, "huge.txt").open("wb") as file:
        file.truncate((1 << 30) + 1)
    assert weight_files(folder) == (
        "config.json",
        "m.onnx",
        "model.safetensors",
        "tower/model-1.safetensors",
        "vocab.txt",
        "weights.json",
    )
    [said] = caplog.messages
    names = r"huge.txt, linked.json, 'odd\nname.txt', optimizer.pt, pipe.json and 1 more"
    assert said == f"{folder}: not taken: {names}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modeling.py", b"", "modeling.py is code"),
        ("deep/down/Modeling.PY", b"", "is code"),
        ("pytorch_model.bin", b"", "only as pytorch_model.bin, which may run code"),
        ("model.ckpt", b"", "only as model.ckpt"),
        ("model.PKL", b"", "only as model.PKL"),
        ("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}', "names code of its own"),
        ("tokenizer_config.json", b'{"a": [{"auto_map": {}}]}', "names code of its own"),
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"[" * 200_000, "config.json is not JSON"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("model.safetensors", b"\x80\x04\x95 a pickle by another name", "not a whole safetensors"),
        ("model.safetensors", EMPTY[:-1], "not a whole safetensors"),
        ("model.safetensors", b"", "not a whole safetensors"),
        ("model.safetensors.index.json", b"[]", "has no weight_map"),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"a": "model-1.safetensors", "b": "config.json"}}',
            "lacks model-1.safetensors of the weights",
        ),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"a": "/tmp/model-1.safetensors", "b": "../x.safetensors"}}',
            "lacks ../x.safetensors, /tmp/model-1.safetensors of the weights",
        ),
    ],
)
def test_what_may_run_code_or_is_broken_is_refused(folder, name, content, message):
    put(folder, name, content)
    with pytest.raises(BeamfleetError, match=message):
        weight_files(folder)


def test_sharded_weights_are_whole(folder):
    shards = {f"layer-{i}": f"model-{i}.safetensors" for i in range(3)}
    put(folder, "model.safetensors.index.json", json.dumps({"weight_map": shards}).encode())
    for name in shards.values():
        put(folder, name, EMPTY)
    assert set(shards.values()) < set(weight_files(folder))


def test_the_word_auto_map_in_a_vocabulary_is_no_code(folder):
    put(folder, "vocab.json", b'{"auto_map": 7}')
    assert "vocab.json" in weight_files(folder)


def test_links_are_followed_inside_of_the_folder_only(folder, tmp_path):
    (folder / "same.json").symlink_to("weights.json")
    assert "same.json" in weight_files(folder)
    secret = put(tmp_path, "secret.json", b"{}")
    (folder / "there.json").symlink_to(secret)
    with pytest.raises(BeamfleetError, match=r"there.json links to .*secret.json, outside"):
        weight_files(folder)
    secret.unlink()
    with pytest.raises(BeamfleetError, match=r"links to .*secret.json, which is not there"):
        weight_files(folder)


def test_a_folder_without_weights_is_refused(tmp_path):
    put(tmp_path, "holiday.jpg")
    with pytest.raises(BeamfleetError, match="holds no weights"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nowhere",
        "data/captions/nowhere",
        "../x/y",
        "gs://bucket/blip",
        "a/b@",
        "@main",
        "a b/c",
    ],
)
def test_what_is_no_source_is_refused(text):
    with pytest.raises(BeamfleetError, match=r"there is no folder .* organisation/name@commit"):
        ModelSource.parse(text)


def test_sources_are_told_apart(folder):
    assert ModelSource.parse(str(folder)) == ModelSource(str(folder))
    name = "Salesforce/blip-image-captioning-base"
    assert ModelSource.parse(name) == ModelSource(name)
    assert ModelSource.parse(f"{name}@refs/pr/7") == ModelSource(name, "refs/pr/7")


def test_a_folder_that_is_gone_is_said(folder):
    with pytest.raises(BeamfleetError, match="no folder '/nowhere/at/all'"):
        ModelSource("/nowhere/at/all").fetched()


def test_a_pinned_folder_is_known_by_its_content(folder, tmp_path):
    source = ModelSource(str(folder)).pinned()
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("config.json", "weights.json")
    }
    assert source.sha256 == hash_of_files(files)
    copy = ModelSource(write_model(tmp_path / "copy", 3)).pinned()
    assert copy.sha256 == source.sha256
    assert ModelSource(write_model(tmp_path / "copy", 4)).pinned().sha256 != source.sha256
    put(folder, "README.md", b"nothing that predicts")
    assert ModelSource(str(folder)).pinned() == source


def test_a_folder_that_changed_since_it_was_pinned_is_refused(folder, tmp_path):
    other = ModelSource(write_model(tmp_path / "other", 1))
    pinned = ModelSource(str(folder)).pinned()
    uri = str(tmp_path / "bundle")
    write_model(folder, 4)
    with pytest.raises(BeamfleetError, match=r"'one' in .*/model changed while"):
        write_bundle(uri, FUNCTION, {"one": pinned, "two": other}, {})
    with pytest.raises(BeamfleetError, match=r"has no ensemble.json"):
        Bundle(uri)
    write_model(folder, 3)
    models = {"one": pinned, "two": other}
    assert write_bundle(uri, FUNCTION, models, {}).models["one"].sha256 == pinned.sha256
