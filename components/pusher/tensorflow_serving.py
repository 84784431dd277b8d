"""The configuration by which TensorFlow Serving serves what the pointer names.

    tensorflow_model_server --model_config_file=<directory>/models.config \
        --model_config_file_poll_wait_seconds=10

By itself TensorFlow Serving takes the highest version of a folder, also after a rollback. The file
names the current version, which of a split is the champion; every push, promotion and rollback
writes it anew, right after the pointer. What a process that was killed between the two left out,
the next push or rollback makes good.
"""

import json
from pathlib import Path

from components.pusher import files
from components.saved_model.layout import PROGRAM

CONFIG_FILE = "models.config"
MODEL_NAME = "model"
"""As our own server calls it: `/v1/models/model:predict`."""


def write_config(root: Path, version: int) -> None:
    """Writes `models.config` for a pushed SavedModel; versions of another kind have none.

    The caller holds the directory's lock.
    """
    if (root / str(version) / PROGRAM).is_file():
        files.write_text(root / CONFIG_FILE, config_text(str(root.absolute()), version))


def config_text(base_path: str, version: int) -> str:
    """A `ModelServerConfig` as text proto.

    Args:
      base_path: The pushed directory, absolute.
      version: The one to serve, and no other.
    """
    # A JSON string is a string of the text format too.
    place = json.dumps(base_path, ensure_ascii=False)
    return f"""# Written at every push and rollback: changes are lost.
model_config_list {{
  config {{
    name: "{MODEL_NAME}"
    base_path: {place}
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version} }} }}
  }}
}}
"""
