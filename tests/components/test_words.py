from components.words import counted


def test_one_is_no_plural():
    found = [counted(number, "image") for number in (0, 1, 2, 1234)]
    assert found == ["0 images", "1 image", "2 images", "1,234 images"]
