"""Finds the pushed models that a command means."""

from pathlib import Path

from components.errors import BeamfleetError


def pushed_directory(models: str) -> str:
    """The pushed directory itself, or the one below a root of runs.

    Raises:
      BeamfleetError: nothing was pushed there.
    """
    if "://" in models:
        return models
    for candidate in _candidates(models):
        if (candidate / "CURRENT").is_file():
            return str(candidate)
    raise BeamfleetError(
        f"no models were pushed to {models}: expected a pushed directory (with a file CURRENT), "
        "or the root of runs that pushed there"
    )


def is_pushed_directory(models: str) -> bool:
    """Whether `pushed_directory` finds one."""
    return any((candidate / "CURRENT").is_file() for candidate in _candidates(models))


def _candidates(models: str) -> tuple[Path, ...]:
    return Path(models), Path(models, "pushed"), Path("runs", models, "pushed")


def version_path(directory: str, version: int | None) -> str:
    """Folder of a pushed version; None is the current one.

    Raises:
      BeamfleetError: there is no such version.
    """
    from components.pusher.versions import PushedVersions

    versions = PushedVersions(directory)
    if version is not None:
        return versions.version(version).path
    current = versions.current()
    if current is None:
        raise BeamfleetError(f"nothing was pushed to {directory} yet")
    return current.path
