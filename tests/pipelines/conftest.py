from pathlib import Path

import pytest


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text("shop,price,sales\na,1,2\n")
    return file
