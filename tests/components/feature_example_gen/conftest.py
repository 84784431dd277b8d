"""A project for each test."""

from tests.components.feature_computer.conftest import project as project
