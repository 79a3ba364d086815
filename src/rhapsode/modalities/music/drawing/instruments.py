"""Names of the instruments and drums of General MIDI."""

from collections.abc import Sequence

from rhapsode.encoding.music.score import Track
from rhapsode.views.pictures.piano_roll import legible

PROGRAMS = tuple(
    """
    piano, bright piano, electric grand, honky-tonk piano, electric piano, electric piano 2,
    harpsichord, clavinet, celesta, glockenspiel, music box, vibraphone, marimba, xylophone,
    tubular bells, dulcimer, drawbar organ, percussive organ, rock organ, church organ, reed organ,
    accordion, harmonica, bandoneon, nylon guitar, steel guitar, jazz guitar, electric guitar,
    muted guitar, overdriven guitar, distorted guitar, guitar harmonics, acoustic bass,
    fingered bass, picked bass, fretless bass, slap bass, slap bass 2, synth bass, synth bass 2,
    violin, viola, cello, contrabass, tremolo strings, pizzicato strings, harp, timpani, strings,
    slow strings, synth strings, synth strings 2, choir, voice, synth voice, orchestra hit, trumpet,
    trombone, tuba, muted trumpet, horn, brass, synth brass, synth brass 2, soprano saxophone,
    alto saxophone, tenor saxophone, baritone saxophone, oboe, English horn, bassoon, clarinet,
    piccolo, flute, recorder, pan flute, bottle, shakuhachi, whistle, ocarina, square lead,
    saw lead, calliope, chiff lead, charang, voice lead, fifths lead, bass lead, new age pad,
    warm pad, poly pad, choir pad, bowed pad, metal pad, halo pad, sweep pad, rain, soundtrack,
    crystal, atmosphere, brightness, goblins, echoes, science fiction, sitar, banjo, shamisen, koto,
    kalimba, bagpipe, fiddle, shanai, tinkle bell, agogo, steel drums, woodblock, taiko,
    melodic tom, synth drum, reverse cymbal, fret noise, breath noise, seashore, bird, telephone,
    helicopter, applause, gunshot
    """.replace("\n    ", " ")
    .strip()
    .split(", ")
)
"""The 128 programs."""

DRUMS = dict(
    enumerate(
        """
        kick 2, kick, side stick, snare, clap, snare 2, low floor tom, closed hat, high floor tom,
        pedal hat, low tom, open hat, low mid tom, high mid tom, crash, high tom, ride, china,
        ride bell, tambourine, splash, cowbell, crash 2, vibraslap, ride 2, high bongo, low bongo,
        muted conga, open conga, low conga, high timbale, low timbale, high agogo, low agogo,
        cabasa, maracas, short whistle, long whistle, short guiro, long guiro, claves,
        high woodblock, low woodblock, muted cuica, open cuica, muted triangle, open triangle
        """.replace("\n        ", " ")
        .strip()
        .split(", "),
        35,
    )
)
"""The 47 drums by their pitch."""


def part_names(tracks: Sequence[Track]) -> list[str]:
    """Names of tracks, with numbers where several have the same one."""
    names = [
        legible(track.name) or ("drums" if track.drums else PROGRAMS[track.program])
        for track in tracks
    ]
    return [
        f"{name} {names[: place + 1].count(name)}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]
