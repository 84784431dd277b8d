"""What a terminal would obey is shown instead."""

from components.printable import printable


def test_only_what_is_not_to_be_seen_is_escaped():
    assert printable("ein Hund läuft 狗 👩‍🚀.png") == "ein Hund läuft 狗 👩‍🚀.png"
    assert printable("a\x1b[2Jb\nc\x9bd\u202egnp\u2028") == r"a\x1b[2Jb\nc\x9bd\u202egnp\u2028"
