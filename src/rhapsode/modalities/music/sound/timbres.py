"""Timbres of the synthesiser: spectra, envelopes, and drums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PARTIALS = 10


@dataclass(frozen=True)
class Voice:
    """A kind of instrument.

    It has partials, each with an amplitude that decays in two stages.

    Arguments:
        amplitudes: of the partials, the fundamental first.
        ratios: of the partials' frequencies to the fundamental; empty for 1, 2, 3, ...
        attack, release: seconds until full, and time constant after the end of a note.
        decays: rates of the two stages of the fundamental of A4, per second.
        early: weight of the first, fast stage.
        growth: of the decay rates from one partial to the next.
        stretch: inharmonicity of a string.
        vibrato: depth in samples of delay.
        detune: of a second, softer player, as a fraction of the frequency; 0 without one.
        noise: level of the noise of a hammer or of breath, and its decay per second.
        gain: level beside the others.
        brightness: gain of the upper partials with the velocity.
    """

    amplitudes: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    attack: float = 0.003
    release: float = 0.1
    decays: tuple[float, float] = (0.0, 0.0)
    early: float = 0.0
    growth: float = 0.0
    stretch: float = 0.0
    vibrato: float = 0.0
    detune: float = 0.0
    noise: tuple[float, float] = (0.0, 1.0)
    gain: float = 1.0
    brightness: float = 1.0


VOICES: dict[str, Voice] = {
    "piano": Voice(
        (1, 0.52, 0.33, 0.24, 0.15, 0.11, 0.08, 0.05, 0.03, 0.02),
        attack=0.003,
        release=0.11,
        decays=(3.4, 0.7),
        early=0.62,
        growth=0.30,
        stretch=0.00035,
        noise=(0.05, 70.0),
        brightness=1.5,
    ),
    "plucked": Voice(
        (1, 0.66, 0.46, 0.30, 0.22, 0.15, 0.10, 0.07, 0.04, 0.03),
        attack=0.002,
        release=0.12,
        decays=(5.0, 1.1),
        early=0.55,
        growth=0.42,
        stretch=0.0001,
        noise=(0.03, 120.0),
        brightness=1.2,
    ),
    "mallet": Voice(
        (1, 0.10, 0.28, 0.10, 0.07),
        (1, 2, 3.99, 6.7, 9.94),
        attack=0.0015,
        release=0.35,
        decays=(3.0, 1.6),
        early=0.5,
        growth=1.2,
        noise=(0.04, 200.0),
        gain=1.1,
    ),
    "organ": Voice(
        (1, 0.62, 0.34, 0.36, 0.17, 0.14),
        (1, 2, 3, 4, 6, 8),
        attack=0.014,
        release=0.05,
        vibrato=1.2,
        gain=0.42,
        brightness=0.3,
    ),
    "bass": Voice(
        (1, 0.58, 0.30, 0.16, 0.09, 0.05, 0.03),
        attack=0.005,
        release=0.07,
        decays=(2.6, 0.9),
        early=0.4,
        growth=0.5,
        noise=(0.015, 90.0),
        gain=1.15,
    ),
    "strings": Voice(
        (1, 0.5, 0.42, 0.29, 0.21, 0.15, 0.10, 0.07, 0.05, 0.03),
        attack=0.075,
        release=0.16,
        decays=(0.0, 0.15),
        vibrato=4.0,
        detune=0.0032,
        gain=0.50,
    ),
    "brass": Voice(
        (1, 0.66, 0.56, 0.44, 0.32, 0.21, 0.14, 0.09, 0.05, 0.03),
        attack=0.035,
        release=0.07,
        decays=(2.0, 0.1),
        early=0.12,
        growth=0.1,
        vibrato=1.5,
        detune=0.0012,
        gain=0.42,
        brightness=2.0,
    ),
    "reed": Voice(
        (1, 0.26, 0.48, 0.18, 0.27, 0.11, 0.13, 0.07, 0.05, 0.03),
        attack=0.028,
        release=0.06,
        decays=(0.0, 0.1),
        vibrato=2.0,
        noise=(0.006, 0.3),
        gain=0.52,
    ),
    "flute": Voice(
        (1, 0.34, 0.13, 0.05, 0.02, 0.01),
        attack=0.04,
        release=0.08,
        decays=(0.0, 0.1),
        vibrato=3.4,
        noise=(0.014, 0.3),
        gain=0.66,
        brightness=1.4,
    ),
    "choir": Voice(
        (1, 0.50, 0.22, 0.10, 0.09, 0.05, 0.02),
        attack=0.14,
        release=0.30,
        decays=(0.0, 0.1),
        vibrato=4.0,
        detune=0.0036,
        gain=0.52,
        brightness=0.7,
    ),
    "lead": Voice(
        tuple(0.9**k / k for k in range(1, PARTIALS + 1)),
        attack=0.008,
        release=0.06,
        decays=(1.5, 0.1),
        early=0.25,
        vibrato=1.0,
        detune=0.0025,
        gain=0.46,
    ),
}
"""Kinds of instruments by name."""

# The first program of each stretch of programs with one kind of sound.
_PROGRAMS = (
    (0, "piano"),
    (6, "plucked"),
    (8, "mallet"),
    (15, "plucked"),
    (16, "organ"),
    (20, "reed"),
    (24, "plucked"),
    (32, "bass"),
    (40, "strings"),
    (45, "plucked"),
    (47, "mallet"),
    (48, "strings"),
    (52, "choir"),
    (55, "brass"),
    (64, "reed"),
    (72, "flute"),
    (80, "lead"),
    (88, "choir"),
    (96, "mallet"),
    (100, "choir"),
    (104, "plucked"),
    (108, "mallet"),
    (109, "reed"),
    (110, "strings"),
    (111, "reed"),
    (112, "mallet"),
    (120, "flute"),
)


def voice_of(program: int) -> str:
    """The kind of sound of a General MIDI program."""
    return [name for first, name in _PROGRAMS if first <= program][-1]


def voice_table() -> NDArray[np.float64]:
    """A row for each voice, in their order: numbers, amplitudes, ratios."""
    rows = []
    for voice in VOICES.values():
        empty = (0.0,) * (PARTIALS - len(voice.amplitudes))
        ratios = voice.ratios or tuple(map(float, range(1, PARTIALS + 1)))
        ratios += (0.0,) * (PARTIALS - len(ratios))
        numbers = (
            voice.attack,
            voice.release,
            *voice.decays,
            voice.early,
            voice.growth,
            voice.stretch,
            voice.vibrato,
            voice.detune,
            *voice.noise,
            voice.gain,
            voice.brightness,
        )
        rows.append((*numbers, *voice.amplitudes, *empty, *ratios))
    return np.array(rows, np.float64)


def drum_row(pitch: int) -> tuple[float, ...]:
    """A drum's numbers.

    Returns:
        hertz at the end and its rise at the beginning, decay per second and level of the tone;
        cut-off in hertz of the high-pass filter, decay per second and level of the noise; position
        from -1 to 1.
    """
    return _DRUMS.get(pitch, (700.0 + 35 * (pitch % 24), 0.1, 40.0, 0.35, 4000.0, 70.0, 0.12, 0.3))


def _tom(hertz: float, place: float) -> tuple[float, ...]:
    return (hertz, 0.6, 11.0, 0.75, 300.0, 45.0, 0.16, place)


_KICK = (47.0, 2.6, 13.0, 1.05, 900.0, 160.0, 0.16, 0.0)
_SNARE = (186.0, 0.5, 26.0, 0.42, 1100.0, 19.0, 0.42, 0.05)
_HAT = (0.0, 0.0, 1.0, 0.0, 7000.0, 52.0, 0.55, 0.3)
_CRASH = (0.0, 0.0, 1.0, 0.0, 4200.0, 2.6, 0.34, -0.35)
_RIDE = (3300.0, 0.0, 9.0, 0.05, 6400.0, 6.0, 0.17, -0.3)
_DRUMS: dict[int, tuple[float, ...]] = {
    35: _KICK,
    36: _KICK,
    37: (820.0, 0.0, 75.0, 0.35, 2400.0, 110.0, 0.25, 0.05),
    38: _SNARE,
    39: (0.0, 0.0, 1.0, 0.0, 1300.0, 24.0, 0.45, 0.1),
    40: (214.0, 0.5, 30.0, 0.42, 1500.0, 22.0, 0.45, 0.05),
    41: _tom(72.0, 0.35),
    43: _tom(86.0, 0.3),
    45: _tom(104.0, 0.2),
    47: _tom(124.0, 0.05),
    48: _tom(148.0, -0.1),
    50: _tom(176.0, -0.2),
    42: _HAT,
    44: (*_HAT[:5], 75.0, 0.4, 0.3),
    46: (*_HAT[:5], 8.5, 0.5, 0.3),
    49: _CRASH,
    57: (*_CRASH[:7], 0.35),
    52: (*_CRASH[:5], 4.0, 0.32, 0.3),
    55: (*_CRASH[:5], 6.0, 0.30, -0.2),
    51: _RIDE,
    59: _RIDE,
    53: (2600.0, 0.0, 7.0, 0.16, 6400.0, 9.0, 0.12, -0.3),
    54: (0.0, 0.0, 1.0, 0.0, 6500.0, 22.0, 0.26, 0.25),
    56: (562.0, 0.0, 16.0, 0.34, 3000.0, 60.0, 0.06, 0.2),
    69: (0.0, 0.0, 1.0, 0.0, 5200.0, 40.0, 0.24, -0.25),
    70: (0.0, 0.0, 1.0, 0.0, 6000.0, 55.0, 0.24, -0.25),
    80: (4200.0, 0.0, 30.0, 0.16, 8000.0, 90.0, 0.06, -0.2),
    81: (4200.0, 0.0, 3.5, 0.16, 8000.0, 40.0, 0.06, -0.2),
    **{
        p: (h, 0.15, 22.0, 0.5, 1500.0, 110.0, 0.14, 0.25)
        for p, h in ((60, 420.0), (61, 310.0), (62, 260.0), (63, 235.0), (64, 175.0))
    },
}
