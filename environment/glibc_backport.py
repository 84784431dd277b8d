"""Makes ML Metadata and TFDV wheels that load on glibc 2.28 to 2.37.

`ml-metadata` and `tensorflow-data-validation` 1.21 are published for glibc 2.39 only
(`manylinux_2_39`), so no installer can resolve TFX 1.21 on Debian 12, Ubuntu 22.04 or RHEL 9.
Above glibc 2.36 they need six symbols, each of which has an older equivalent with the same
behaviour for these two libraries. The official wheel is downloaded and checked, those symbols
are renamed and their version requirement is made weak, and the wheel is tagged
`manylinux_2_28`. No compiler is needed, and the result is the same bytes on every machine, so
that the lock file can name its hash.

End condition: delete this file, and its one call in `create.py`, when the pinned TFX depends on
releases of both packages that are published for `manylinux_2_28` or older, or when the project
no longer supports distributions with glibc below 2.38.

Source: System V ABI symbol versioning (LSB core 5.0, section 10.7); patchelf's manual.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
import tempfile
import zipfile
from pathlib import Path

SHA256 = {
    "ml_metadata-1.21.0-cp311-cp311": (
        "ad35b9462ce1971d3ca1bc672c36abf2494a738410fa3ac3519131274ea5ae9b"
    ),
    "ml_metadata-1.21.0-cp312-cp312": (
        "e2b691386fe3419c250c48dbba3f8b29649ae00dc1ba448307aa0929fb815140"
    ),
    "ml_metadata-1.21.0-cp313-cp313": (
        "ced1ded68b7c1a92227337450969476b2159cc647f33f7a7cc62cc074d192722"
    ),
    "tensorflow_data_validation-1.21.0-cp311-cp311": (
        "6c148be69ae20c02f58b696efb343c4bb3e923184963f8b793afd0066c8ced9f"
    ),
    "tensorflow_data_validation-1.21.0-cp312-cp312": (
        "e9bfef0ee8540458e35d9f6e69db2674afc20629ee872d2800ae93eddb8a3127"
    ),
    "tensorflow_data_validation-1.21.0-cp313-cp313": (
        "182f6fe03684139b84cb25119ef27e4c034cb938c8b9795bc8821de6f9120b96"
    ),
}
"""Official wheel name without its platform tag -> SHA-256 of the official file."""

REPLACEMENTS = {
    "__isoc23_strtol": "strtol",
    "__isoc23_strtoul": "strtoul",
    "__isoc23_strtoll": "strtoll",
    "__isoc23_strtoull": "strtoull",
    # The constructor initialises the standard streams and never reads `this`.
    "_ZSt21ios_base_library_initv": "_ZNSt8ios_base4InitC1Ev",
    "__cxa_call_terminate": "_ZSt9terminatev",
}
NEW_VERSIONS = {b"GLIBC_2.38", b"GLIBCXX_3.4.32", b"CXXABI_1.3.15"}

_SHT_GNU_VERNEED = 0x6FFFFFFE
_VER_FLG_WEAK = 2


def backport(wheel: Path, target: Path, patchelf: Path) -> Path:
    """Writes the `manylinux_2_28` twin of one official wheel and returns its path.

    Raises:
      ValueError: the wheel is not one of `SHA256`, or its bytes are not the published ones.
    """
    expected = SHA256.get(wheel.name.removesuffix("-manylinux_2_39_x86_64.whl"))
    if expected is None:
        raise ValueError(f"{wheel.name}: not a wheel that this file knows how to backport")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(f"{wheel.name}: SHA-256 is {found}, the published file has {expected}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root)
            modes = {i.filename: i.external_attr for i in archive.infolist()}
        for library in sorted(root.rglob("*.so*")):
            _replace_symbols(library, patchelf)
            _weaken_versions(library)
        _retag(root)
        result = target / wheel.name.replace("manylinux_2_39", "manylinux_2_28")
        partial = result.with_suffix(".partial")
        _zip(root, partial, modes)
        partial.replace(result)
    return result


def _replace_symbols(library: Path, patchelf: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".map") as names:
        names.writelines(f"{old} {new}\n" for old, new in REPLACEMENTS.items())
        names.flush()
        clear = [word for old in REPLACEMENTS for word in ("--clear-symbol-version", old)]
        subprocess.run([patchelf, *clear, library], check=True)
        subprocess.run([patchelf, "--rename-dynamic-symbols", names.name, library], check=True)


def _weaken_versions(library: Path) -> None:
    """Sets VER_FLG_WEAK on the version needs that nothing refers to any more."""
    data = bytearray(library.read_bytes())
    for need, strings in _version_sections(data):
        while True:
            _, _, _, aux_offset, next_need = struct.unpack_from("<HHIII", data, need)
            aux = need + aux_offset
            while True:
                _, flags, _, name, next_aux = struct.unpack_from("<IHHII", data, aux)
                start = strings + name
                if bytes(data[start : data.index(0, start)]) in NEW_VERSIONS:
                    struct.pack_into("<H", data, aux + 4, flags | _VER_FLG_WEAK)
                if not next_aux:
                    break
                aux += next_aux
            if not next_need:
                break
            need += next_need
    library.write_bytes(data)


def _version_sections(data: bytearray) -> list[tuple[int, int]]:
    """File offsets of each version-need section of an ELF64 file and of its string table."""
    if data[:5] != b"\x7fELF\x02":
        raise ValueError("not a 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    return [(h[4], headers[h[6]][4]) for h in headers if h[1] == _SHT_GNU_VERNEED]


def _retag(root: Path) -> None:
    """Renames the platform in WHEEL and makes RECORD anew."""
    [info] = root.glob("*.dist-info")
    tags = info / "WHEEL"
    tags.write_text(tags.read_text().replace("manylinux_2_39", "manylinux_2_28"))
    rows = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.name != "RECORD"):
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=")
        name = path.relative_to(root).as_posix()
        rows.append(f"{name},sha256={digest.decode()},{path.stat().st_size}\n")
    rows.append(f"{info.name}/RECORD,,\n")
    (info / "RECORD").write_text("".join(rows))


def _zip(root: Path, target: Path, modes: dict[str, int]) -> None:
    """Zips with fixed order and times and no compression, so that the bytes are reproducible."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            name = path.relative_to(root).as_posix()
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = modes.get(name, 0o644 << 16)
            archive.writestr(entry, path.read_bytes())
