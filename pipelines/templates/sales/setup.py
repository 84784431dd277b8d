"""What Beam ships to its workers: `--beam-arg=--setup_file=./setup.py` on a cluster."""

from setuptools import find_namespace_packages, setup

setup(
    name="sales",
    version="0.1.0",
    packages=find_namespace_packages(include=["user_code*"]),
    # Named here because TFX adds nothing of its own once there is a set-up file.
    install_requires=["beamfleet"],
)
