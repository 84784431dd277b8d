"""Tells kinds of images by their first bytes, whatever a name says."""

import re

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
"""The kinds that are read, and how their files are named."""
NO_IMAGE = "not a JPEG, PNG, WebP or GIF file"
"""How the reason begins of a file that is no image of any kind."""
FIRST_BYTES = 16
"""That `kind_of` looks at."""

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*",
    "BMP": rb"BM....\0\0\0\0",
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)",
}


def kind_of(content: bytes) -> str:
    """The kind of an image; "" where the bytes are those of none that is known."""
    kinds = (k for k, sign in _SIGNATURES.items() if re.match(sign, content, re.DOTALL))
    return next(kinds, "")


def why_not_read(content: bytes) -> str:
    """Says of a file that cannot be opened as an image what it is instead."""
    kind = kind_of(content)
    if kind in EXTENSIONS:
        return f"damaged: it begins as {kind} does, and does not go on so"
    if kind:
        return f"the file is {kind}; JPEG, PNG, WebP and GIF are read"
    return f"{NO_IMAGE}: it begins {content[:8]!r}"
