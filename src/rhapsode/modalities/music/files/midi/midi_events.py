"""Bytes of a MIDI track as events and notes.

Every index is checked, so that no file can make the reader leave its bytes. Compiled, because a
large folder holds a hundred million events.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled
from rhapsode.modalities.music.files.tidy_notes import OVERLAPS as OVERLAPPING

Data = NDArray[np.uint8]
Rows = NDArray[np.int32]

LAST_TICK = (1 << 31) - 2
META = 0xFF
# Columns of events.
TICK, STATUS, FIRST, SECOND = range(4)
# Columns of notes and pedals.
START, END, PITCH, VELOCITY, CHANNEL, PROGRAM = range(6)

# Repairs, as positions in the array of counts.
REPAIRS = (
    "bytes above 127 clipped",
    "stray bytes skipped",
    "tracks cut off",
    "undefined messages skipped",
    "note-offs without a note dropped",
    "note-ons without an end",
    OVERLAPPING,
    "notes of no length made one tick long",
    "pedals never released",
)
CLIPPED, STRAY, CUT, UNDEFINED, OFFS, ONS, OVERLAPS, ZERO, UNRELEASED = range(9)


@compiled
def read_events(
    data_N: Data, begin: int, end: int, events_E4: Rows, counts: Any
) -> tuple[int, int]:
    """Split a track into events; return their number and the last tick.

    A system message other than a meta event has no effect. Running status outlives meta events and
    system messages, which the standard forbids and many files need.

    Arguments:
        data_N: the file.
        begin: position of the track's first byte.
        end: position after its last byte.
        events_E4: receives tick, status, first and second data byte; of a meta event its type and
            the position of its text, whose length is in the next row.
        counts: receives numbers of repairs.
    """
    at = begin
    tick = 0
    running = 0
    events = 0
    limit = len(events_E4) - 2
    while at < end and events < limit:
        delta = 0
        size = 0
        while at < end:
            byte = data_N[at]
            at += 1
            size += 1
            delta = (delta << 7) | (byte & 127)
            if byte < 128 or size == 4:
                break
        tick = min(tick + delta, LAST_TICK)
        if at >= end:
            counts[CUT] += 1
            break
        status: Any = np.int64(data_N[at])
        if status < 128:
            if running == 0:  # the next byte that can be a status begins a message
                while at < end and data_N[at] < 128:
                    counts[STRAY] += 1
                    at += 1
                if at >= end:
                    break
                status = np.int64(data_N[at])
                at += 1
            else:
                status = running
        else:
            at += 1
        if status < 0xF0:
            running = status
            size = 1 if 0xC0 <= status < 0xE0 else 2
            if at + size > end:
                counts[CUT] += 1
                break
            for place in range(size):
                byte = data_N[at + place]
                if byte > 127:
                    counts[CLIPPED] += 1
                    byte = 127
                events_E4[events, FIRST + place] = byte
            events_E4[events, TICK] = tick
            events_E4[events, STATUS] = status
            events += 1
            at += size
        elif status in (0xFF, 0xF0, 0xF7):
            kind: Any = 0
            if status == META:
                if at >= end:
                    counts[CUT] += 1
                    break
                kind = np.int64(data_N[at])
                at += 1
                if kind == 0x2F:
                    return events, tick
            length = 0
            size = 0
            while at < end:
                byte = data_N[at]
                at += 1
                size += 1
                length = (length << 7) | (byte & 127)
                if byte < 128 or size == 4:
                    break
            if at + length > end:
                counts[CUT] += 1
                break
            if status == META:
                events_E4[events, TICK] = tick
                events_E4[events, STATUS] = META
                events_E4[events, FIRST] = kind
                events_E4[events, SECOND] = at
                events_E4[events + 1, TICK] = tick
                events_E4[events + 1, STATUS] = 0
                events_E4[events + 1, FIRST] = length
                events += 2
            at += length
        else:
            counts[UNDEFINED] += 1
            if status in (0xF1, 0xF3):
                at += 1
            elif status == 0xF2:
                at += 2
    return events, tick


@compiled
def pair_notes(
    events_E4: Rows, last: int, notes_N6: Rows, pedals_N6: Rows, counts: Any
) -> tuple[int, int]:
    """Join note-ons with note-offs; return the numbers of notes and pedals.

    A note-on ends the sounding note of its pitch and channel. When more notes have begun than
    end, the earlier ones lack their end. A note that sounds at the end of the track ends there.

    Arguments:
        events_E4: from `read_events`.
        last: tick at the end of the track.
        notes_N6: receives start, end, pitch, velocity, channel, program.
        pedals_N6: the same; pitch and velocity stay 0.
        counts: receives numbers of repairs.
    """
    open_CP = np.full((16, 128), -1, dtype=np.int64)
    depth_CP = np.zeros((16, 128), dtype=np.int64)
    program_C = np.zeros(16, dtype=np.int64)
    pedal_C = np.full(16, -1, dtype=np.int64)
    notes = 0
    pedals = 0
    for event in range(len(events_E4)):
        status = events_E4[event, STATUS]
        if status < 0x80 or status >= 0xF0:
            continue
        kind = status & 0xF0
        channel = status & 15
        tick = events_E4[event, TICK]
        first = events_E4[event, FIRST]
        second = events_E4[event, SECOND]
        if kind == 0x90 and second > 0:
            note = open_CP[channel, first]
            depth = depth_CP[channel, first]
            if depth > 0:
                if notes_N6[note, END] < 0:
                    notes_N6[note, END] = tick
                    counts[OVERLAPS] += 1
                else:  # it has its own end, so that the ones before it lack theirs
                    counts[ONS] += depth
                    counts[OVERLAPS] -= depth
                    depth = 0
            notes_N6[notes, START] = tick
            notes_N6[notes, END] = -1
            notes_N6[notes, PITCH] = first
            notes_N6[notes, VELOCITY] = second
            notes_N6[notes, CHANNEL] = channel
            notes_N6[notes, PROGRAM] = program_C[channel]
            open_CP[channel, first] = notes
            depth_CP[channel, first] = depth + 1
            notes += 1
        elif kind in (0x80, 0x90):
            depth = depth_CP[channel, first]
            if depth == 0:
                counts[OFFS] += 1
                continue
            note = open_CP[channel, first]
            depth_CP[channel, first] = depth - 1
            if depth > 1 and notes_N6[note, START] == tick:
                counts[OVERLAPS] -= 1  # the end of the note before, written after the new one
            else:
                notes_N6[note, END] = tick
        elif kind == 0xC0:
            program_C[channel] = first
        elif kind == 0xB0 and first == 64:
            pedal = pedal_C[channel]
            if second >= 64 and pedal < 0:
                pedals_N6[pedals, START] = tick
                pedals_N6[pedals, END] = -1
                pedals_N6[pedals, CHANNEL] = channel
                pedals_N6[pedals, PROGRAM] = program_C[channel]
                pedal_C[channel] = pedals
                pedals += 1
            elif second < 64 and pedal >= 0:
                pedals_N6[pedal, END] = tick
                pedal_C[channel] = -1
    for channel in range(16):
        for pitch in range(128):
            depth = depth_CP[channel, pitch]
            if depth > 0:
                note = open_CP[channel, pitch]
                counts[ONS] += depth
                if notes_N6[note, END] < 0:
                    notes_N6[note, END] = last
                    counts[OVERLAPS] -= depth - 1
                else:
                    counts[OVERLAPS] -= depth
    for note in range(notes):
        if notes_N6[note, END] <= notes_N6[note, START]:
            notes_N6[note, END] = notes_N6[note, START] + 1
            counts[ZERO] += 1
    for pedal in range(pedals):
        if pedals_N6[pedal, END] < 0:
            pedals_N6[pedal, END] = last
            counts[UNRELEASED] += 1
    return notes, pedals
