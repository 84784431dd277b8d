"""The local cache of the Hugging Face hub, as its client lays it out."""

from pathlib import Path

NAME = "some-lab/tiny-blip"
EMPTY = (2).to_bytes(8, "little") + b"{}"
"""A safetensors file without tensors."""


def write_cache(hub: Path, commit: str, revision: str = "") -> Path:
    """Puts a commit of NAME into the cache, blobs and links to them; gives its folder."""
    root = hub / "models--some-lab--tiny-blip"
    snapshot = root / "snapshots" / commit
    files = {"model.safetensors": EMPTY, "config.json": b"{}", "pytorch_model.bin": b"pickle"}
    for name, content in files.items():
        blob = root / "blobs" / f"{commit[:4]}{name}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        snapshot.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(f"../../blobs/{blob.name}")
    if revision:
        ref = root / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit)
    return snapshot
