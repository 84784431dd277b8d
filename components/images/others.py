"""Tells the files that lie among images and are none: notes, tables, films."""

from pathlib import PurePath

from components.images.decode import ImageError
from components.images.fetch import open_regular
from components.images.signature import FIRST_BYTES, kind_of
from components.images.tfrecord import is_tfrecord

_TEXTS = "txt md rst csv tsv json jsonl xml html htm yaml yml ini cfg toml log py ipynb sh tex"
_FILMS_AND_SOUNDS = "mp4 m4v mov avi mkv webm wmv flv mpg mpeg 3gp mp3 m4a wav flac ogg aac"
_DOCUMENTS = "pdf doc docx xls xlsx ppt pptx odt ods odp rtf epub"
_DATA = "db sqlite zip tar gz bz2 xz zst 7z rar parquet npy npz pkl h5 onnx safetensors exe lnk url"
_SUFFIXES = {f".{s}" for s in f"{_TEXTS} {_FILMS_AND_SOUNDS} {_DOCUMENTS} {_DATA}".split()}


def is_other(path: str) -> bool:
    """Whether a local file is no image, by its name and by its first bytes too.

    A name that says nothing, as `IMG_1` or `x.bak`, is that of an image until it has been read.
    """
    if PurePath(path).suffix.lower() not in _SUFFIXES or is_tfrecord(path):
        return False
    try:
        with open_regular(path) as file:
            return not kind_of(file.read(FIRST_BYTES))
    except (ImageError, OSError):
        return False  # whoever reads it says what is wrong with it
