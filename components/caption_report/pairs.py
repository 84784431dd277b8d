"""Images and captions as they are exported, and the two layouts that trainers read."""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from components.caption_report.read import CaptionedImage
from components.captioning.caption import RankedCaption
from components.images.decode import ImageError
from components.images.signature import EXTENSIONS, kind_of, why_not_read

_NAME_LENGTH = 60
TRAIN = "train"
"""Folder of all pairs: what lies beside it is not taken for data by `datasets.load_dataset`."""
SHARD_BYTES = 256 * 2**20
SHARD_PAIRS = 10_000


@dataclass(frozen=True)
class Pair:
    """One image to train on."""

    number: int
    """Row of the result, from 0: no two pairs have the same."""
    image: CaptionedImage
    captions: tuple[RankedCaption, ...]
    """Those to train on, best first; at least one."""
    content: bytes = b""
    """The file as it is, or set upright."""

    @property
    def key(self) -> str:
        """Letters, digits, `-` and `_` only, and the number: never a path, never twice."""
        name = self.image.uri.partition("?")[0].rpartition("/")[2].partition(".")[0]
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:_NAME_LENGTH]
        return f"{self.number:08}-{plain}".rstrip("-")

    @property
    def extension(self) -> str:
        """By what is in the file, whatever its name says."""
        if extension := EXTENSIONS.get(kind_of(self.content)):
            return extension
        raise ImageError(why_not_read(self.content))

    @property
    def lines(self) -> list[str]:
        """The captions, each on one line."""
        return [" ".join(caption.text.split()) for caption in self.captions]

    def document(self) -> dict[str, Any]:
        """Where the pair comes from and how good it is; the same fields for every pair."""
        image = self.image
        models = [{"stage": stage, "model": model} for stage, model in image.versions.items()]
        return {
            "captions": [asdict(caption) for caption in self.captions],
            "image_uri": image.uri,
            "variant": image.variant,
            "width": image.width,
            "height": image.height,
            "models": models,
        }


class PairWriter(Protocol):
    """Writes pairs into a folder."""

    def add(self, pair: Pair) -> None: ...

    def __enter__(self) -> "PairWriter": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class WebDatasetWriter:
    """Tar shards train/000000.tar, ... whose members KEY.jpg (or .png, .webp, .gif), KEY.txt and
    KEY.json make one sample; a shard is full at a number of bytes or of pairs.

    Source: the WebDataset format, https://github.com/webdataset/webdataset
    """

    def __init__(
        self, folder: Path, shard_bytes: int = SHARD_BYTES, shard_pairs: int = SHARD_PAIRS
    ) -> None:
        self._folder = folder / TRAIN
        self._most = (shard_bytes, shard_pairs)
        self._tar: tarfile.TarFile | None = None
        self._shards = self._bytes = self._pairs = 0

    def __enter__(self) -> "WebDatasetWriter":
        self._folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def add(self, pair: Pair) -> None:
        """Writes the members of one sample."""
        document = json.dumps(pair.document(), ensure_ascii=False)
        members = {
            pair.extension: pair.content,
            "txt": "\n".join(pair.lines).encode(),
            "json": document.encode(),
        }
        size = sum(_tar_size(content) for content in members.values())
        tar = self._shard_for(size)
        for extension, content in members.items():
            # No time and no owner: the same pairs give the same bytes.
            member = tarfile.TarInfo(f"{pair.key}.{extension}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        self._bytes += size
        self._pairs += 1

    def _shard_for(self, size: int) -> tarfile.TarFile:
        most_bytes, most_pairs = self._most
        if self._pairs and (self._bytes + size > most_bytes or self._pairs >= most_pairs):
            self._close()
        if self._tar is None:
            path = self._folder / f"{self._shards:06}.tar"
            self._tar = tarfile.TarFile(path, "w", format=tarfile.USTAR_FORMAT)
            self._shards += 1
        return self._tar

    def _close(self) -> None:
        if self._tar is not None:
            self._tar.close()
        self._tar = None
        self._bytes = self._pairs = 0


class ImageFolderWriter:
    """train/KEY.jpg ... and train/metadata.jsonl, whose lines have file_name, text and the rest.

    Source: https://huggingface.co/docs/datasets/image_dataset#imagefolder
    """

    def __init__(self, folder: Path, one_caption: bool) -> None:
        """`one_caption`: text and probability are values, else lists."""
        self._folder = folder / TRAIN
        self._one = one_caption

    def __enter__(self) -> "ImageFolderWriter":
        self._folder.mkdir()
        self._metadata = (self._folder / "metadata.jsonl").open("w", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metadata.close()

    def add(self, pair: Pair) -> None:
        """Writes the image and its line."""
        name = f"{pair.key}.{pair.extension}"
        (self._folder / name).write_bytes(pair.content)
        line = {"file_name": name, **self._texts(pair), **pair.document()}
        self._metadata.write(f"{json.dumps(line, ensure_ascii=False)}\n")

    def _texts(self, pair: Pair) -> Mapping[str, Any]:
        probabilities = [caption.probability for caption in pair.captions]
        if self._one:
            return {"text": pair.lines[0], "probability": probabilities[0]}
        return {"text": pair.lines, "probability": probabilities}


def _tar_size(content: bytes) -> int:
    """A member's bytes with its header, in blocks of 512."""
    return 512 + -(-len(content) // 512) * 512
