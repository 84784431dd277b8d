from collections.abc import Iterator

import pytest

from components.entity_trainer.pool import cool_down


@pytest.fixture(scope="package", autouse=True)
def _no_server_left() -> Iterator[None]:
    yield
    cool_down()
