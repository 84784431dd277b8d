"""What pip's configuration says, in uv's words: uv reads none of it by itself."""

import subprocess
from pathlib import Path

FLAGS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
VARIABLES = {"cert": "SSL_CERT_FILE", "timeout": "UV_HTTP_TIMEOUT", "proxy": "ALL_PROXY"}


def uv_settings(python: Path) -> "tuple[list[str], dict[str, str]]":
    """Options and environment variables for uv that say what `python -m pip` would go by."""
    listed = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    options: list[str] = []
    environment: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, quoted = line.partition("=")
        name = key.rsplit(".", 1)[-1].removeprefix("default-")
        value = quoted.strip().strip("'\"").replace("\\n", " ")
        if name in FLAGS:
            options += [word for part in value.split() for word in (FLAGS[name], part)]
        elif name in VARIABLES:
            environment[VARIABLES[name]] = value
        elif name == "no-index" and value not in ("0", "false", "no", "off"):
            options.append("--no-index")
    return options, environment
