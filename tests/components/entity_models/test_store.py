"""A store is whole or absent, finds what was put in, and notices every change."""

import hashlib
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.entity_models.custom import CustomModel
from components.entity_models.layout import HEADER
from components.entity_models.spec import ModelSpec
from components.entity_models.store import EntityModels, IndexEntry, ShardWriter, commit
from components.errors import BeamfleetError
from tests.components.entity_models.stores import PLACES as WORDS
from tests.components.entity_models.stores import SPEC, rows, train, write


class Bytes(CustomModel):
    """Holds its payload."""

    def __init__(self, content):
        self.content = content

    def predict(self, features):
        return ["no"] * len(features)

    def save(self):
        return self.content

    @classmethod
    def load(cls, payload):
        return cls(payload)


FRAMEWORK = f"custom:{__name__}.Bytes"


def entry(entity, kind="entity", status="trained"):
    return IndexEntry(kind=kind, entity=entity, status=status, rows=3, framework=FRAMEWORK)


def store_of(uri, payloads, shards=2):
    writers = [ShardWriter(str(uri), shard, shards) for shard in range(shards)]
    for i, (entity, payload) in enumerate(payloads.items()):
        writers[i % shards].add(entry(entity), payload)
    commit(str(uri), SPEC, [e for w in writers for e in w.close()], {"rows": 3})
    return EntityModels(str(uri))


@settings(max_examples=25, deadline=None)
@given(
    payloads=st.dictionaries(st.text(min_size=1), st.binary(min_size=1, max_size=99), min_size=1),
    shuffled=st.randoms(use_true_random=False),
)
def test_what_goes_in_comes_out_in_any_order(tmp_path_factory, payloads, shuffled):
    payloads = {k.encode("utf-8", "replace").decode(): v for k, v in payloads.items()}
    first = store_of(tmp_path_factory.mktemp("a"), payloads, 1)
    for entity, payload in payloads.items():
        model, is_fallback = first.model(entity)
        assert (model.content, is_fallback) == (payload, False)
        assert first.payload(first.entry(entity)) == payload
    assert len(first) == len(payloads)
    assert first.entry("never there") is None or "never there" in payloads
    # The same entries given to commit in another order make the same index.
    uri = tmp_path_factory.mktemp("b")
    writer = ShardWriter(str(uri), 0, 1)
    for entity, payload in payloads.items():
        writer.add(entry(entity), payload)
    entries = writer.close()
    shuffled.shuffle(entries)
    commit(str(uri), SPEC, entries, {"rows": 3})
    assert EntityModels(str(uri)).fingerprint == first.fingerprint


def test_entity_names_never_become_file_names(tmp_path):
    store = store_of(tmp_path, {place: b"x" + place.encode() for place in WORDS})
    files = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    assert files == [
        "index.parquet",
        "manifest.json",
        "shards/shard-00000-of-00002.bin",
        "shards/shard-00001-of-00002.bin",
    ]
    assert all(store.model(place)[0].content == b"x" + place.encode() for place in WORDS)


def test_fallback_serves_unseen_small_and_failed(tmp_path):
    writer = ShardWriter(str(tmp_path), 0, 1)
    writer.add(entry("own"), b"own")
    writer.add(entry("tiny", status="small"), b"")
    writer.add(entry("broken", status="failed"), b"")
    writer.add(entry("", kind="fallback"), b"all")
    commit(str(tmp_path), SPEC, writer.close(), {"rows": 3})
    store = EntityModels(str(tmp_path))
    assert store.model("own")[0].content == b"own"
    for entity in ("tiny", "broken", "unseen", ""):
        model, is_fallback = store.model(entity)
        assert (model.content, is_fallback) == (b"all", True)
    assert store.entry("tiny").status == "small"
    assert store.fallback_entry.kind == "fallback"
    assert store.spec == SPEC and store.counts == {"rows": 3}
    assert store.index().num_rows == 4


def test_no_fallback_names_the_entity(tmp_path):
    with pytest.raises(BeamfleetError, match="'Mars' and no fallback"):
        store_of(tmp_path, {"a": b"x"}).model("Mars")


def test_empty_store(tmp_path):
    commit(str(tmp_path), SPEC, [], {})
    store = EntityModels(str(tmp_path))
    assert len(store) == 0 and store.entry("a") is None and store.fallback() is None


def test_ten_thousand_entities_and_a_quick_open_at_a_hundred_thousand(tmp_path):
    count = 100_000
    names = [f"entity/{i}" for i in range(count)]
    writer = ShardWriter(str(tmp_path), 0, 1)
    for name in names:
        writer.add(entry(name), name.encode())
    commit(str(tmp_path), SPEC, writer.close(), {})
    start = time.process_time()
    store = EntityModels(str(tmp_path))
    assert time.process_time() - start < 1.0
    for name in np.random.default_rng(0).choice(names, 10_000):
        assert store.entry(name).entity == name
    assert store.model(names[-1])[0].content == names[-1].encode()


def test_cache_is_bounded_in_bytes(tmp_path):
    big = {name: name.encode() * 100_000 for name in "abcdef"}
    store_of(tmp_path, big)
    store = EntityModels(str(tmp_path), cache_bytes=250_000)
    for name in "abcabc":
        store.model(name)
    assert list(store._cache) == ["b", "c"]  # the two that were used last
    kept = store.model("c")[0]
    assert store.model("c")[0] is kept
    assert store._cached_bytes == 200_000


def test_threads_share_a_store(tmp_path):
    names = [f"e{i}" for i in range(60)]
    store_of(tmp_path, {name: name.encode() * 2_000 for name in names})
    store = EntityModels(str(tmp_path), cache_bytes=100_000)
    wrong = []

    def look_up(seed):
        for name in np.random.default_rng(seed).choice(names, 300):
            if store.model(name)[0].content != name.encode() * 2_000:
                wrong.append(name)

    threads = [threading.Thread(target=look_up, args=(seed,)) for seed in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong
    assert store._cached_bytes == sum(size for _, size in store._cache.values()) <= 100_000


@pytest.fixture
def whole(tmp_path):
    store_of(tmp_path / "store", {"a": b"payload of a", "b": b"payload of b"}, shards=1)
    return tmp_path / "store"


def shard_of(uri):
    return uri / "shards" / "shard-00000-of-00001.bin"


def changed(**changes):
    return {**SPEC.to_dict(), **changes}


def change_manifest(uri, **changes):
    manifest = json.loads((uri / "manifest.json").read_text())
    (uri / "manifest.json").write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda uri: (uri / "manifest.json").unlink(), "no manifest.json"),
        (lambda uri: shutil.rmtree(uri), "no manifest.json"),
        (lambda uri: (uri / "manifest.json").write_text("{"), "not JSON"),
        (lambda uri: (uri / "manifest.json").write_text("[]"), "format"),
        (lambda uri: (uri / "manifest.json").write_text("[" * 200_000), "not JSON"),
        (lambda uri: change_manifest(uri, version=2), "version 2, this release reads 1"),
        (lambda uri: change_manifest(uri, format="other"), "format 'beamfleet-entity-models'"),
        (lambda uri: change_manifest(uri, spec={"label": "x"}), "not a model spec"),
        (lambda uri: change_manifest(uri, spec=changed(entity_columns=[1])), "must be words"),
        (lambda uri: change_manifest(uri, spec=changed(label="\ud800")), "not a model spec"),
        (lambda uri: change_manifest(uri, spec=changed(entity_types=[[]])), "not a model spec"),
        (lambda uri: change_manifest(uri, counts=3), "counts"),
        (lambda uri: change_manifest(uri, index_sha256=None), "index_sha256 expected"),
        (lambda uri: change_manifest(uri, index_sha256="0"), "SHA-256 differs from manifest"),
        (lambda uri: (uri / "index.parquet").unlink(), "is missing"),
        (lambda uri: (uri / "index.parquet").write_bytes(b"PAR1"), "SHA-256 differs"),
    ],
)
def test_a_store_that_is_not_whole_does_not_open(whole, damage, message):
    damage(whole)
    with pytest.raises(BeamfleetError, match=message):
        EntityModels(str(whole))


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: flip(path, len(HEADER) + 3), "SHA-256 differs"),
        (lambda path: flip(path, len(HEADER) - 1), "not a shard of format version 1"),
        (lambda path: cut(path, len(HEADER) + 5), "truncated"),
        (lambda path: cut(path, 0), "not a shard"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(HEADER + b"payload of b" * 2), "SHA-256 differs"),
    ],
)
def test_a_changed_shard_names_the_entity(whole, damage, message):
    store = EntityModels(str(whole))
    damage(shard_of(whole))
    with pytest.raises(BeamfleetError, match=message) as caught:
        store.model("a")
    assert "entity 'a'" in str(caught.value) and str(whole) in str(caught.value)


def test_an_offset_outside_the_shard_is_refused(tmp_path):
    writer = ShardWriter(str(tmp_path), 0, 1)
    writer.add(entry("a"), b"payload")
    [placed] = writer.close()
    for i, changes in enumerate(
        [
            {"offset": 10**15},
            {"length": 10**15},
            {"length": 10**9},
            {"offset": -3},
            {"shard": -1},
            {"shard": 4},
            {"shards": 0},
        ]
    ):
        uri = tmp_path / str(i)
        shutil.copytree(tmp_path / "shards", uri / "shards")
        commit(str(uri), SPEC, [replace(placed, **changes)], {})
        with pytest.raises(BeamfleetError):
            EntityModels(str(uri)).model("a")


def test_an_index_with_other_columns_or_order_is_refused(whole):
    import hashlib

    import pyarrow.parquet as pq

    table = pq.read_table(whole / "index.parquet")
    for changed in (table.drop(["sha256"]), table.take([1, 0]), pa.concat_tables([table, table])):
        pq.write_table(changed, whole / "index.parquet")
        content = (whole / "index.parquet").read_bytes()
        change_manifest(whole, index_sha256=hashlib.sha256(content).hexdigest())
        with pytest.raises(BeamfleetError, match=r"restore the artifact|expected"):
            EntityModels(str(whole))


def test_commit_refuses_contradictions(tmp_path):
    twice = [entry("a", status="small"), entry("a", status="failed")]
    with pytest.raises(BeamfleetError, match="'a' comes twice"):
        commit(str(tmp_path), SPEC, twice, {})
    with pytest.raises(BeamfleetError, match="kind"):
        commit(str(tmp_path), SPEC, [entry("x", kind="fallback")], {})
    writer = ShardWriter(str(tmp_path), 0, 1)
    with pytest.raises(BeamfleetError, match="payload"):
        writer.add(entry("a"), b"")
    with pytest.raises(BeamfleetError, match="payload"):
        writer.add(entry("a", status="small"), b"x")


def test_nothing_is_visible_before_commit_and_nothing_is_written_over(tmp_path):
    writer = ShardWriter(str(tmp_path), 0, 1)
    writer.add(entry("a"), b"x")
    assert not list(tmp_path.rglob("*.bin"))
    entries = writer.close()
    with pytest.raises(BeamfleetError, match="manifest"):
        EntityModels(str(tmp_path))
    commit(str(tmp_path), SPEC, entries, {})
    with pytest.raises(BeamfleetError, match="already holds"):
        commit(str(tmp_path), SPEC, entries, {})
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("components.files.move_into_place", fail)
    writer = ShardWriter(str(tmp_path), 0, 1)
    writer.add(entry("a"), b"x")
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


FIXTURE = Path(__file__).parent / "data" / "store-v1"


def test_the_first_version_stays_readable():
    """Written by the release that introduced format version 1; never write it again."""
    store = EntityModels(str(FIXTURE))
    manifest = json.loads((FIXTURE / "manifest.json").read_text())
    assert manifest["version"] == 1
    assert store.spec == SPEC
    assert store.entry("../../etc/passwd").status == "trained"
    assert store.entry("tiny").status == "small"
    assert store.model("../../etc/passwd")[1] is False
    expected = json.loads((FIXTURE / "expected.json").read_text())
    from components.entity_models.predict import predict

    # It predicted rows with an empty entity by the fallback; they count as missing now.
    result = predict(store, rows(20, places=(*WORDS[:4], "", *WORDS[4:]))).to_pylist()
    assert [row for row in result if row["entity"]] == [row for row in expected if row["entity"]]
    assert {row["error"] for row in result if not row["entity"]} == {"entity key missing"}


def test_store_of_real_models(tmp_path):
    table = rows(300)
    model = train(table)
    store = EntityModels(write(str(tmp_path), [(place, model) for place in WORDS], fallback=model))
    loaded, is_fallback = store.model("名前")
    assert type(loaded) is type(model) and not is_fallback


def test_the_types_of_the_entity_columns_are_part_of_the_spec():
    numbers = replace(SPEC, entity_types=("double",))
    assert ModelSpec.from_dict(numbers.to_dict()) == numbers
    assert numbers.fingerprint() != SPEC.fingerprint()
    without = {k: v for k, v in SPEC.to_dict().items() if k != "entity_types"}
    assert ModelSpec.from_dict(without) == SPEC
    text = json.dumps(without, sort_keys=True, ensure_ascii=False)
    assert SPEC.fingerprint() == hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(BeamfleetError, match="entity types"):
        replace(SPEC, entity_types=("double", "double"))
