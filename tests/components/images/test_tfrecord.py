"""What TensorFlow writes is read without it, damaged files as far as they can be."""

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from google_crc32c import value as crc32c

from components.images.tfrecord import ImageRecord, is_tfrecord, read_tfrecord
from tests.components.images.tfrecords import tf_example, write_tfrecord

LIMIT = 1000


def test_names():
    for name in ("a.tfrecord", "a.tfrecords", "a.TFRecord.gz", "a.tfrecord-00001-of-00010.gz"):
        assert is_tfrecord(name)
    for name in ("a.tfrecord.png", "tfrecord", "a.tfrecord.txt", "a.png"):
        assert not is_tfrecord(name)


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_the_keys_that_people_use(tmp_path, name):
    path = write_tfrecord(
        tmp_path / name,
        [
            tf_example(
                image__encoded=b"one", image__filename=b"1.png", image__caption="ä".encode()
            ),
            tf_example(image=b"two", caption=[b" a cat ", b"another"], image__width=3, score=0.5),
            tf_example(image_raw=b"three", caption__text=b""),
            tf_example(image__encoded=b"four", image=b"not this", label=[1, 2]),
        ],
    )
    assert list(read_tfrecord(path, LIMIT)) == [
        ImageRecord(1, b"one", "1.png", "ä"),
        ImageRecord(2, b"two", "", "a cat"),
        ImageRecord(3, b"three"),
        ImageRecord(4, b"four"),
    ]


def test_records_that_are_no_images_have_a_reason(tmp_path):
    records = [
        b"\xff\xff no example",
        tf_example(pixels=b"x", label=3),
        tf_example(image__encoded=3),
        tf_example(image__encoded=b"x", caption=b"\xff"),
        b"",
        tf_example(image__encoded=b"good"),
    ]
    found = list(read_tfrecord(write_tfrecord(tmp_path / "a.tfrecord", records), LIMIT))
    assert [record.number for record in found] == [1, 2, 3, 4, 5, 6]
    assert found[0].reason == "the record is no tf.Example"
    assert found[1].reason == (
        "the tf.Example has none of image/encoded, image, image_raw, only ['label', 'pixels']"
    )
    assert "none of image/encoded" in found[2].reason
    assert found[3].reason == "the name or caption in the record is not UTF-8"
    assert "only []" in found[4].reason
    assert found[5] == ImageRecord(6, b"good")


def five(tmp_path: Path, name: str = "a.tfrecord") -> tuple[Path, int]:
    """A file of five records, and the bytes of each of them."""
    records = [tf_example(image__encoded=b"%03d" % number) for number in range(5)]
    path = tmp_path / name
    write_tfrecord(path, records)
    return path, len(records[0]) + 16


def test_a_damaged_record_is_left_out_and_the_rest_is_read(tmp_path):
    path, size = five(tmp_path)
    content = bytearray(path.read_bytes())
    content[size + 20] ^= 1
    path.write_bytes(content)
    found = list(read_tfrecord(str(path), LIMIT))
    assert [record.content for record in found] == [b"000", b"", b"002", b"003", b"004"]
    assert found[1] == ImageRecord(2, reason="the record does not fit its checksum")


def test_nothing_is_found_behind_a_damaged_length(tmp_path):
    path, size = five(tmp_path)
    content = bytearray(path.read_bytes())
    content[2 * size] ^= 1
    path.write_bytes(content)
    found = list(read_tfrecord(str(path), LIMIT))
    assert [record.number for record in found] == [1, 2, 3]
    assert found[2].reason == (
        "the length of the record does not fit its checksum; nothing behind it can be read"
    )


@pytest.mark.parametrize("cut", [1, 4, 20, 40])
def test_a_file_that_is_cut_off(tmp_path, cut):
    path, size = five(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    found = list(read_tfrecord(str(path), LIMIT))
    whole = 5 - -(-cut // size)
    assert [record.content for record in found] == [b"%03d" % i for i in range(whole)] + [b""]
    assert found[-1].reason.startswith("the file ends within the record")


def test_a_gzip_file_that_is_cut_off(tmp_path):
    path, _ = five(tmp_path, "a.tfrecord.gz")
    path.write_bytes(path.read_bytes()[:-12])
    *found, last = read_tfrecord(str(path), LIMIT)
    assert [record.content for record in found] == [b"%03d" % n for n in range(len(found))]
    assert last.number == len(found) + 1
    assert last.reason.startswith("the file cannot be read on: EOFError")


@pytest.mark.parametrize("place", range(12, 60, 4))
def test_a_gzip_file_that_is_damaged(tmp_path, place):
    path, _ = five(tmp_path, "a.tfrecord.gz")
    content = bytearray(path.read_bytes())
    content[place : place + 2] = b"xx"
    path.write_bytes(content)
    found = list(read_tfrecord(str(path), LIMIT))
    assert any(record.reason for record in found)
    for record in found:
        assert record.reason or record.content == b"%03d" % (record.number - 1)


def head(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    crc = crc32c(packed)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return packed + struct.pack("<I", masked)


def test_large_records_are_passed_over_and_not_held(tmp_path):
    path, _ = five(tmp_path)
    large = 40 * 2**20
    path.write_bytes(head(large) + bytes(large + 4) + path.read_bytes() + head(2**62) + bytes(9))
    found = list(read_tfrecord(str(path), LIMIT))
    assert found[0].reason == f"a record of {large} bytes, at most {LIMIT + 2**20} are read"
    assert [record.content for record in found[1:6]] == [b"000", b"001", b"002", b"003", b"004"]
    assert found[6].number == 7 and found[6].reason.startswith("the file ends within the record")
    assert len(found) == 7


@pytest.mark.parametrize(
    "content",
    [(head(0) + bytes.fromhex("d8ea82a2")) * 60_000, head(2**40).ljust(9_000_000, b"\0")],
    ids=["empty records", "zeros"],
)
def test_a_small_gzip_file_gives_no_flood(tmp_path, monkeypatch, content):
    monkeypatch.setattr("components.images.tfrecord._UNMEASURED", 1000)
    path = tmp_path / "a.tfrecord.gz"
    path.write_bytes(gzip.compress(content))
    *found, last = read_tfrecord(str(path), LIMIT)
    assert 16 * len(found) <= 1000 + 100 * path.stat().st_size < len(content)
    assert last.reason.startswith("the file becomes more than 100 times as large")


def test_a_picture_of_nothing_may_become_much_smaller(tmp_path):
    path = write_tfrecord(tmp_path / "a.tfrecord.gz", [tf_example(image=bytes(900_000))])
    assert 300 * Path(path).stat().st_size < 900_000
    assert list(read_tfrecord(path, LIMIT)) == [ImageRecord(1, bytes(900_000))]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"I am text, and long enough for a head", "the length of the record does not fit"),
        (b"\x1f\x8b I am no gzip file", "the file cannot be read on: BadGzipFile"),
        (
            gzip.compress(b"I am text, and long enough for a head", mtime=0),
            "the length of the record",
        ),
        (b"x", "the file ends within the record"),
    ],
)
def test_what_is_no_tfrecord_file(tmp_path, content, reason):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    [record] = read_tfrecord(str(path), LIMIT)
    assert record.number == 1 and record.reason.startswith(reason)


def test_no_file_and_no_record(tmp_path):
    os.mkfifo(tmp_path / "pipe.tfrecord")
    [record] = read_tfrecord(str(tmp_path / "pipe.tfrecord"), LIMIT)
    assert record == ImageRecord(1, reason="is a pipe, device or socket")
    [record] = read_tfrecord(str(tmp_path / "none.tfrecord"), LIMIT)
    assert record.reason == "the file cannot be read on: No such file or directory"
    (tmp_path / "a.tfrecord").touch()
    (tmp_path / "b.tfrecord").write_bytes(gzip.compress(b""))
    for name in ("a.tfrecord", "b.tfrecord"):
        [record] = read_tfrecord(str(tmp_path / name), LIMIT)
        assert record == ImageRecord(1, reason="the file is empty: it has no record")


def test_tensorflow_is_not_imported(tmp_path):
    path, _ = five(tmp_path)
    program = (
        "import sys; from components.images.tfrecord import read_tfrecord; "
        f"assert len(list(read_tfrecord({str(path)!r}, 1000))) == 5; "
        "assert not {'tensorflow', 'tfx', 'tfx_bsl'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
