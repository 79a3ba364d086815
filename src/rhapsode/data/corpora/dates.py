"""The corpus `dates`: written dates and their ISO form.

Every written date has a single right answer.

Thirteen layouts in English, German, French and Spanish. No layout can be read in two ways: numbers
between full stops are day, month, year; between slashes month, day, year.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import numpy as np

from rhapsode.data.document import Document

COUNT = 20_000
SEED = 1582
FIRST_YEAR, YEARS = 1900, 200

_MONTHS = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
    "de": (
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September",
        "Oktober", "November", "Dezember",
    ),
    "fr": (
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
        "octobre", "novembre", "décembre",
    ),
    "es": (
        "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
        "octubre", "noviembre", "diciembre",
    ),
}  # fmt: skip
_DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "de": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    "fr": ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}


def _month(date: dt.date, language: str) -> str:
    return _MONTHS[language][date.month - 1]


def _weekday(date: dt.date, language: str) -> str:
    return _DAYS[language][date.weekday()]


def _ordinal(day: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{'th' if 10 < day < 14 else ending}"


_LAYOUTS: tuple[Callable[[dt.date], str], ...] = (
    lambda date: f"{date.day}.{date.month}.{date.year}",
    lambda date: f"{date.day:02}.{date.month:02}.{date.year}",
    lambda date: f"{date.month}/{date.day}/{date.year}",
    lambda date: f"{date.year}/{date.month:02}/{date.day:02}",
    lambda date: f"{_month(date, 'en')} {date.day}, {date.year}",
    lambda date: f"{date.day} {_month(date, 'en')[:3]} {date.year}",
    lambda date: (
        f"{_weekday(date, 'en')}, {_ordinal(date.day)} of {_month(date, 'en')} {date.year}"
    ),
    lambda date: f"{date.day}. {_month(date, 'de')} {date.year}",
    lambda date: f"{_weekday(date, 'de')}, {date.day}. {_month(date, 'de')} {date.year}",
    lambda date: f"{date.day} {_month(date, 'fr')} {date.year}",
    lambda date: f"le {_weekday(date, 'fr')} {date.day} {_month(date, 'fr')} {date.year}",
    lambda date: f"{date.day} de {_month(date, 'es')} de {date.year}",
    lambda date: f"{_weekday(date, 'es')}, {date.day} de {_month(date, 'es')} de {date.year}",
)


def date_pairs(count: int = COUNT, seed: int = SEED) -> list[tuple[str, str]]:
    """Distinct written dates, each with its ISO form.

    Arguments:
        count: number of pairs.
        seed: of the random numbers.
    """
    random = np.random.default_rng(seed)
    first = dt.date(FIRST_YEAR, 1, 1)
    days = (dt.date(FIRST_YEAR + YEARS, 1, 1) - first).days
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        date = first + dt.timedelta(days=int(random.integers(days)))
        written = _LAYOUTS[int(random.integers(len(_LAYOUTS)))](date)
        pairs.setdefault(written, date.isoformat())
    return list(pairs.items())


def date_documents() -> Iterator[Document]:
    """The pairs as documents whose prompt is the written date."""
    for number, (written, iso) in enumerate(date_pairs()):
        yield Document(f"{written}\n{iso}", f"dates#{number}", prompt=len(written) + 1)
