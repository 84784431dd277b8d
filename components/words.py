"""How numbers stand in sentences."""


def counted(number: int, noun: str) -> str:
    """`1 image`, `1,234 images`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
