"""Writes a file that is either whole or not there."""

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems


def write_whole_file(path: str, content: bytes) -> None:
    """Writes beside the target, then renames; an earlier file of the name is replaced."""
    staged = f"{path}.tmp"
    with FileSystems.create(staged, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(content)
    move_into_place(staged, path)


def move_into_place(staged: str, path: str) -> None:
    """Renames a file on any Beam filesystem, over an earlier one."""
    if FileSystems.exists(path):
        FileSystems.delete([path])
    FileSystems.rename([staged], [path])
