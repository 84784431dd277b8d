"""From folders, lists, servers and TFRecord files to rows: every image is a row or a reject."""

import hashlib
import io
import os
import random
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit
from components.image_example_gen import plan as planning
from components.image_example_gen import write as writing
from components.image_example_gen.config import ImageSource
from components.image_example_gen.ingest import ingest_images
from components.image_example_gen.plan import plan_images
from components.images.decode import examine
from components.images.examples import read_image_rows
from components.images.fetch import FetchLimits
from components.images.find import find_images
from tests.components.images.pictures import (
    bad_files,
    good_files,
    on_its_side,
    picture,
    saved,
    write_files,
)
from tests.components.images.tfrecords import tf_example, write_tfrecord
from tests.components.memory_files import MemoryFileSystem

LIMITS = FetchLimits(max_bytes=60_000, timeout_s=5, allow_private=True)


def ingest(uri, *images, **options):
    source = ImageSource(tuple(map(str, images)), **{"limits": LIMITS, **options})
    plan = plan_images(source)
    return ingest_images(lambda: beam.Pipeline(runner="FnApiRunner"), plan, source, str(uri))


def rows(uri):
    table = pq.read_table(Path(uri, "Split-images"))
    return [
        {name: values and values[0] for name, values in row.items()} for row in table.to_pylist()
    ]


def rejects(uri):
    """Name -> reason; each once."""
    found = pq.read_table(Path(uri, "rejects.parquet")).to_pylist()
    named = {row["file"].rpartition("/")[2]: row["reason"] for row in found}
    assert len(named) == len(found) and all(row["line"] == 1 for row in found)
    return named


def hostile(folder: Path) -> dict[str, str]:
    """Adds what is no file of its own; returns names and reasons."""
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.tfrecord")
    (folder.parent / "private.png").write_bytes(saved(picture()))
    (folder / "out.png").symlink_to(folder.parent / "private.png")
    (folder / "passwd.png").symlink_to("/etc/passwd")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "round.png").symlink_to("round.png")
    (folder / "up").symlink_to("..")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes(saved(picture()))
    return {
        "pipe.jpg": "is a pipe",
        "pipe.tfrecord": "is a pipe",
        "out.png": "is a link out of the folder",
        "passwd.png": "is a link out of the folder",
        "zero.png": "is a link out of the folder",
        "round.png": "cannot be read: Too many levels",
        "up": "is a link to a folder",
        "\\udcff\\udcfe.png": "its name is not UTF-8",
    }


def test_every_good_image_is_a_row_and_every_bad_one_is_named(tmp_path):
    folder, bad = tmp_path / "photos", bad_files()
    good = good_files()
    for number in range(10):
        good |= {f"{number}/{name}": content for name, content in good_files().items()}
        (folder / str(number)).mkdir(parents=True)
    write_files(folder, good)
    write_files(folder, {name: content for name, (content, _) in bad.items()})
    expected = hostile(folder)
    counts = ingest(tmp_path / "out", folder)
    assert counts.rows == len(good) == len(rows(tmp_path / "out"))
    assert counts.rows_rejected == len(bad) + len(expected)
    assert counts.rows_in == counts.rows + counts.rows_rejected
    assert {row["image_uri"]: row["image"] for row in rows(tmp_path / "out")} == {
        str(folder / name): content for name, content in good.items()
    }
    found = rejects(tmp_path / "out")
    assert found.keys() == {*bad, *expected}
    for name, reason in {**{n: r for n, (_, r) in bad.items()}, **expected}.items():
        assert any(found[name].startswith(word) for word in reason.split("|")), found[name]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "Split-images",
        "rejects.parquet",
    }


def test_what_a_row_says(tmp_path):
    content = on_its_side()
    write_files(tmp_path / "photos", {"a.jpg": content, "b.png": saved(picture())})
    write_files(tmp_path / "photos", {"captions.csv": b"file,caption,n\na.jpg,a flag,3\n"})
    counts = ingest(tmp_path / "out", tmp_path / "photos")
    one, other = rows(tmp_path / "out")
    figures = one.pop("brightness"), one.pop("contrast")
    assert figures == pytest.approx((168, 87), abs=3)
    assert one == {
        "image_uri": str(tmp_path / "photos" / "a.jpg"),
        "image": content,
        "format": "JPEG",
        "width": 8,
        "height": 12,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "reference": "a flag",
        "n": 3,
    }
    assert other["width"] == 12 and other["reference"] is other["n"] is None
    csv = tmp_path / "photos" / "captions.csv"
    assert counts.notes == (f"reference captions for 1 of 2 files, from {csv}",)


def many(folder: Path, count: int) -> Path:
    write_files(
        folder, {f"{n:04}.png": saved(Image.new("L", (6, 4), n % 256)) for n in range(count)}
    )
    return folder


def test_shards_keep_the_order_and_the_same_input_gives_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SHARD_IMAGES", 30)
    folder = many(tmp_path / "photos", 100)
    (folder / "0040.png").write_bytes(b"")
    for name in ("one", "two"):
        assert ingest(tmp_path / name, folder).rows == 99
    files = sorted(path.name for path in (tmp_path / "one" / "Split-images").iterdir())
    assert files == [f"data-{number:05}-of-00004.parquet" for number in range(4)]
    for file in [*(f"Split-images/{name}" for name in files), "rejects.parquet"]:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    names = [row["image_uri"].rpartition("/")[2] for row in rows(tmp_path / "one")]
    assert names == [f"{number:04}.png" for number in range(100) if number != 40]


def test_a_shard_without_a_good_image_has_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SHARD_IMAGES", 10)
    folder = many(tmp_path / "photos", 30)
    for number in range(10, 20):
        (folder / f"{number:04}.png").write_bytes(b"")
    counts = ingest(tmp_path / "out", folder)
    assert (counts.rows, counts.rows_rejected) == (20, 10)
    files = sorted(path.name for path in (tmp_path / "out" / "Split-images").iterdir())
    assert files == ["data-00000-of-00002.parquet", "data-00001-of-00002.parquet"]


def test_row_groups_are_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 50_000)
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (60, 60, 3), np.uint8))
    write_files(tmp_path / "photos", {f"{n:03}.png": saved(noise) for n in range(50)})
    ingest(tmp_path / "out", tmp_path / "photos")
    footer = pq.read_metadata(next((tmp_path / "out" / "Split-images").iterdir()))
    sizes = [footer.row_group(n).total_byte_size for n in range(footer.num_row_groups)]
    assert len(sizes) > 8 and max(sizes) < 50_000 + 2 * len(saved(noise))
    assert footer.num_rows == 50


def test_what_is_named_twice_is_noted(tmp_path):
    folder = many(tmp_path / "photos", 5)
    counts = ingest(tmp_path / "out", folder, f"{folder}/*2.png", folder / "0001.png")
    assert counts.rows == 5
    assert counts.notes == ("2 images named more than once and read once",)


def test_what_is_passed_over_is_noted(tmp_path):
    folder = many(tmp_path / "photos", 2)
    write_files(folder, {"Thumbs.db": b"x", "a.txt": b"x", "facts.csv": b"file,caption\n"})
    counts = ingest(tmp_path / "out", folder, references=str(folder / "facts.csv"))
    assert (counts.rows_in, counts.rows_rejected) == (2, 0)
    assert counts.notes[0] == "2 other files passed over (.db, .txt)"
    write_files(folder, {"b.txt": b"x"})
    assert ingest(tmp_path / "more", folder).notes == (
        "4 other files passed over (.csv, .db, .txt)",
    )


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    write_files(tmp_path / "www", {"a.png": saved(picture()), "b.png": b"", "c.html": b"<html>"})
    handler = partial(Handler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_addresses_are_fetched_within_limits(tmp_path, server):
    many(tmp_path / "photos", 1)
    lines = [f"{server}/{name}" for name in ("a.png", "b.png", "c.html", "none.png")]
    (tmp_path / "list.txt").write_text("\n".join([*lines, "photos/0000.png"]))
    write_files(tmp_path, {"refs.csv": f"file,caption\n{lines[0]},seen\n".encode()})
    references = str(tmp_path / "refs.csv")
    counts = ingest(tmp_path / "out", tmp_path / "list.txt", references=references)
    assert (counts.rows_in, counts.rows) == (5, 2)
    assert [(row["image_uri"], row["reference"]) for row in rows(tmp_path / "out")] == [
        (lines[0], "seen"),
        (str(tmp_path / "photos" / "0000.png"), None),
    ]
    assert rejects(tmp_path / "out") == {
        "b.png": "the file is empty",
        "c.html": "the server says that it is 'text/html', not an image",
        "none.png": "the server answers 404 File not found",
    }
    plan = plan_images(ImageSource((str(tmp_path / "list.txt"),)))
    assert plan.is_volatile
    with pytest.raises(BeamfleetError, match=r"1 image, and none .* not public; allow_private"):
        ingest(tmp_path / "no", lines[0], limits=FetchLimits())


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord-00000-of-00001.gz"])
def test_tfrecord_files(tmp_path, name):
    png = saved(picture())
    records = [
        tf_example(image__encoded=png, image__filename=b"one.png", image__caption=b"a flag"),
        tf_example(image=png),
        tf_example(image=png[:-20]),
        tf_example(label=3),
        tf_example(image=bytes(60_001)),
        tf_example(image=png, caption=b"another"),
    ]
    folder = many(tmp_path / "photos", 2)
    path = write_tfrecord(folder / name, records)
    with Path(path).open("ab") as file:
        file.write(b"\x1f\x8b\x00" if name.endswith("gz") else b"more")
    counts = ingest(tmp_path / "out", folder)
    assert (counts.rows_in, counts.rows, counts.rows_rejected) == (9, 5, 4)
    assert [(row["image_uri"], row["reference"]) for row in rows(tmp_path / "out")] == [
        (str(folder / "0000.png"), None),
        (str(folder / "0001.png"), None),
        (f"{path}#one.png", "a flag"),
        (f"{path}#2", None),
        (f"{path}#6", "another"),
    ]
    found = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert {row["file"] for row in found} == {path}
    assert [row["line"] for row in found] == [3, 4, 5, 7]
    reasons = [row["reason"] for row in found]
    assert reasons[0].startswith("damaged") and "only ['label']" in reasons[1]
    assert reasons[2] == "larger than 60000 bytes" and "read" in reasons[3]


def test_references_that_do_not_fit(tmp_path):
    folder = many(tmp_path / "photos", 3)
    write_files(folder, {"captions.csv": b"file,caption\n0001.png,one\nx\x1b[.png,no\ny.png,no\n"})
    counts = ingest(tmp_path / "out", folder)
    csv = folder / "captions.csv"
    assert counts.rows_in == 3
    assert counts.notes == (
        f"reference captions for 1 of 3 files, from {csv}",
        f"no image was found for 2 rows of {csv}: x\\x1b[.png, y.png",
    )
    names = "".join(f"{n}.png,no\n" for n in range(10, 15))
    write_files(folder, {"captions.csv": f"file,caption\n{names}".encode()})
    plan = plan_images(ImageSource((str(folder),)))
    assert (
        plan.notes[1]
        == f"no image was found for 5 rows of {csv}: 10.png, 11.png, 12.png and 2 more"
    )
    write_files(folder, {"captions.csv": b"file,caption\n0001.png,one\nx.png,no\n"})
    assert plan_images(ImageSource((str(folder),))).notes[1].endswith(f"for 1 row of {csv}: x.png")
    write_files(folder, {"metadata.jsonl": b'{"file_name": "0002.png", "text": "two"}'})
    with pytest.raises(BeamfleetError, match=r"captions.csv, metadata.jsonl; name one of them"):
        plan_images(ImageSource((str(folder),)))
    given = str(folder / "metadata.jsonl")
    counts = ingest(tmp_path / "given", folder, references=given)
    assert counts.rows_in == 3 and counts.notes[-1] == f"{csv} is not used"
    assert [row["reference"] for row in rows(tmp_path / "given")] == [None, None, "two"]


def test_the_given_references_are_no_image_however_they_are_spelled(tmp_path):
    folder = many(tmp_path / "photos", 1)
    write_files(folder, {"refs.csv": b"file,caption\n0000.png,one\n"})
    plan = plan_images(ImageSource((str(folder),), f"{folder}/../photos/refs.csv"))
    assert [image.uri for shard in plan.shards for image in shard.images] == [f"{folder}/0000.png"]


def test_references_of_our_own_names_are_refused(tmp_path):
    folder = many(tmp_path / "photos", 1)
    write_files(folder, {"captions.csv": b"file,caption,width\n0000.png,one,3\n"})
    with pytest.raises(BeamfleetError, match="column 'width', which ImageExampleGen makes"):
        plan_images(ImageSource((str(folder),)))


def test_a_run_without_a_good_image_stops(tmp_path):
    write_files(tmp_path / "photos", {f"{n}\x1b[2J.png": b"" for n in range(5)})
    with pytest.raises(BeamfleetError) as caught:
        ingest(tmp_path / "out", tmp_path / "photos")
    assert str(caught.value).startswith(f"{tmp_path}/photos: 5 images, and none can be read: ")
    assert str(caught.value).count("\\x1b[2J.png: the file is empty") == 3
    assert list((tmp_path / "out").iterdir()) == []


def test_too_many_rejects_stop_the_run_where_that_is_asked_for(tmp_path):
    folder = many(tmp_path / "photos", 9)
    (folder / "bad.png").write_bytes(b"")
    ingest(tmp_path / "out", folder, max_rejected_share=0.1)
    with pytest.raises(BeamfleetError, match=r"1 of 10 images .* max_rejected_share=0.09.*bad.png"):
        ingest(tmp_path / "no", folder, max_rejected_share=0.09)
    assert list((tmp_path / "no").iterdir()) == []


def test_a_killed_run_leaves_nothing_visible_and_can_be_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SHARD_IMAGES", 4)
    folder = many(tmp_path / "photos", 10)
    cursed = (folder / "0006.png").read_bytes()

    def examine_but_one(content, max_pixels):
        if content == cursed:
            raise MemoryError("as if the worker was killed")
        return examine(content, max_pixels)

    with monkeypatch.context() as broken:
        broken.setattr("components.image_example_gen.shard.examine", examine_but_one)
        with pytest.raises(MemoryError):
            ingest(tmp_path / "out", folder)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out" / "_staging").mkdir()  # as if nobody had been able to clean up
    (tmp_path / "out" / "_staging" / "rows-00000.parquet").write_bytes(b"half")
    assert ingest(tmp_path / "out", folder).rows == 10
    assert len(rows(tmp_path / "out")) == 10


def test_a_shard_that_loses_an_image_is_noticed(tmp_path, monkeypatch):
    folder = many(tmp_path / "photos", 10)
    monkeypatch.setattr(
        "components.image_example_gen.shard.map_ahead",
        lambda function, items, threads, size: map(function, items[1:]),
    )
    with pytest.raises(RuntimeError, match=r"shard 0 has 10 images, but .*'rows_in': 9"):
        ingest(tmp_path / "out", folder)


@pytest.fixture
def store():
    """An object store with photos: five images, two of them in another folder."""
    png = saved(picture())
    names = ("a.png", "b.png", "c.png", "more/d.png", "more/e.png", ".hidden/f.png", "more/.g.png")
    files = {f"memory://photos/{name}": png for name in names}
    files["memory://photos/c.png"] = b""
    files["memory://photos/captions.csv"] = b"file,caption\nmore/e.png,one\n"
    files["memory://lists/list.txt"] = b"a.png\nmemory://photos/a.png\n"
    MemoryFileSystem.files.update(files)
    yield MemoryFileSystem.files
    MemoryFileSystem.files.clear()


def stored(path):
    return pq.read_table(io.BytesIO(MemoryFileSystem.files[path])).to_pylist()


def test_any_beam_filesystem(store):
    uri = "memory://out"
    store[f"{uri}/_staging/rows-00000.parquet"] = b"of an earlier attempt"
    store[f"{uri}/Split-images/data-00007-of-00009.parquet"] = b"of an earlier attempt"
    counts = ingest(uri, "memory://photos/")
    assert (counts.rows, counts.rows_rejected) == (4, 1)
    file = f"{uri}/Split-images/data-00000-of-00001.parquet"
    assert {name for name in store if name.startswith(uri)} == {file, f"{uri}/rejects.parquet"}
    [reject] = stored(f"{uri}/rejects.parquet")
    assert (reject["file"], reject["reason"]) == ("memory://photos/c.png", "the file is empty")
    names = ("a.png", "b.png", "more/d.png", "more/e.png")
    assert [(row["image_uri"], row["reference"]) for row in stored(file)] == [
        ([f"memory://photos/{name}"], ["one"] if name == "more/e.png" else None) for name in names
    ]
    [records] = read_image_rows(ExamplesSplit(uri, "images"))
    assert [record.failure for record in records] == [None] * 4


def test_places_in_an_object_store(store):
    for place, count in {
        "memory://photos/more": 2,
        "memory://photos/[ab].png": 2,
        "memory://photos/a.png": 1,
        "memory://lists/list.txt": 2,
    }.items():
        assert len(find_images(place).uris) == count
    with pytest.raises(BeamfleetError, match="no images at memory://photos/none"):
        find_images("memory://photos/none")
    with pytest.raises(BeamfleetError, match="nonsense://x cannot be listed"):
        find_images("nonsense://x")


def state(*places, **options):
    return plan_images(ImageSource(tuple(map(str, places)), **options))


def test_the_fingerprint_knows_all_that_may_change(tmp_path):
    folder = many(tmp_path / "photos", 3)
    write_files(folder, {"captions.csv": b"file,caption\n0001.png,one\n"})
    prints = [state(folder).fingerprint]
    assert prints[0] == state(folder).fingerprint and not state(folder).is_volatile
    old = (folder / "0001.png").stat()
    (folder / "0001.png").write_bytes(random.Random(0).randbytes(old.st_size))
    os.utime(folder / "0001.png", ns=(old.st_atime_ns, old.st_mtime_ns))  # as `cp -p` does
    prints.append(state(folder).fingerprint)
    write_files(folder, {"captions.csv": b"file,caption\n0001.png,two\n"})
    prints.append(state(folder).fingerprint)
    (folder / "0003.png").symlink_to("0001.png")
    prints.append(state(folder).fingerprint)
    (folder / "0003.png").unlink()
    (folder / "0003.png").symlink_to("0002.png")
    prints.append(state(folder).fingerprint)
    (folder / "0004.png").symlink_to("/etc/passwd")
    prints.append(state(folder).fingerprint)
    write_files(folder, {"notes.txt": b"passed over, and counted"})
    prints.append(state(folder).fingerprint)
    assert len({*prints}) == len(prints)


def test_what_nobody_knows_without_fetching_it_is_volatile(tmp_path, store):
    folder = many(tmp_path / "photos", 2)
    assert state("https://example.org/a.png", folder).is_volatile
    before = state("memory://photos")
    assert not before.is_volatile  # the store says when its files have changed
    store["memory://photos/a.png"] += b"x"
    assert state("memory://photos").fingerprint != before.fingerprint
    assert state("memory://lists/list.txt").is_volatile


def test_configuration():
    source = ImageSource(("a", "b"), "c", LIMITS, 7, 0.5)
    assert ImageSource.from_json(source.to_json()) == source
    for wrong in ({"images": ()}, {"images": ("",)}, {"max_rejected_share": 2}, {"max_pixels": 0}):
        with pytest.raises(ValueError):
            ImageSource(**{"images": ("a",), **wrong})
