"""Times as people write them."""

from datetime import UTC, datetime

from components.errors import BeamfleetError


def in_utc(time: datetime | str, what: str) -> datetime:
    """A time in UTC, or text that is one; without a zone it is UTC.

    Raises:
      BeamfleetError: it is none.
    """
    if isinstance(time, str):
        return moment(time, what)
    if not isinstance(time, datetime):
        raise BeamfleetError(
            f"{what} is {time!r}, expected a datetime, or text such as 2024-05-22T18:00:00Z"
        )
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def moment(text: str, what: str) -> datetime:
    """ISO 8601 as a time in UTC; without a zone it is UTC.

    Raises:
      BeamfleetError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BeamfleetError(
            f"{what} is {text!r}, expected a day or a time such as 2024-05-22 or "
            "2024-05-22T18:00:00Z"
        ) from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
