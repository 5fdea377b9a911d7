"""Write times, durations and amounts for people."""

import datetime as dt

NOTHING = "–"


def duration(milliseconds: float | None) -> str:
    """Write a duration with the unit that suits it.

    >>> [duration(ms) for ms in (None, 0.4, 812.3, 1234, 65_000, 7_380_000, 200_000_000)]
    ['–', '0.4 ms', '812 ms', '1.2 s', '1 min 5 s', '2 h 3 min', '2 d 7 h']
    """
    if milliseconds is None:
        return NOTHING
    if milliseconds < 0:
        return f"-{duration(-milliseconds)}"
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // small
            return f"{seconds // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{seconds} s"


def moment(time: dt.datetime | None) -> str:
    """Write a time in the reader's zone, to the second."""
    return NOTHING if time is None else f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def count(number: float | None) -> str:
    """Write a whole number in groups of three digits.

    >>> count(1234567), count(None)
    ('1,234,567', '–')
    """
    return NOTHING if number is None else f"{number:,.0f}"


def share(part: float) -> str:
    """Write a share from 0 to 1 as a percentage; only all is 100 %, and only nothing 0 %.

    >>> share(0.5), share(0.9999), share(1), share(0.0001)
    ('50.0 %', '99.9 %', '100 %', '0.1 %')
    """
    if part in (0, 1):
        return f"{part:.0%}".replace("%", " %")
    return f"{min(max(part * 100, 0.1), 99.9):.1f} %"


def hours(number: float) -> str:
    """Write a number of hours.

    >>> hours(24.0), hours(1), hours(0.5), hours(1e9)
    ('24 hours', '1 hour', '0.5 hours', '1,000,000,000 hours')
    """
    return f"{number:,.15g} hour{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Write a number of bytes.

    >>> size(17), size(1_234_567)
    ('17 bytes', '1.2 MB')
    """
    if number < 1000:
        return f"{number} bytes"
    amount = float(number)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def plural(number: int, noun: str) -> str:
    """Write a number of things.

    >>> plural(1, "execution"), plural(2, "execution"), plural(0, "match")
    ('1 execution', '2 executions', '0 matches')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('ch', 's')) else 's'}"
