"""Compiled parts of the synthesiser: notes, drums, reverberation, limiter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rhapsode.compiling import compiled
from rhapsode.modalities.music.sound.timbres import PARTIALS

RATE = 44_100
BLOCK = 64
MOST = 2 * PARTIALS
QUIET = 3e-5
HALF, TWO, THREE, FOUR, FIVE = map(np.float32, (0.5, 2, 3, 4, 5))
WORD = 0xFFFFFFFF
_COMBS = np.array((1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617))
_PASSES = np.array((556, 441, 341, 225))
SPREAD = 23
# Samples by which the limiter looks ahead.
AHEAD = 220


@compiled
def add_notes(sound_2T: Any, span_N2: Any, tone_NK: Any, voice_N: Any, table: Any) -> None:
    """Add notes of pitched instruments.

    Arguments:
        sound_2T: both channels, in float32; notes are added.
        span_N2: first sample of each note, and samples until its release.
        tone_NK: hertz, gain, velocity from 0 to 1, and position from -1 to 1 of each note.
        voice_N: rows of `table`.
        table: of `voice_table`.
    """
    total = sound_2T.shape[1]
    ramp = (np.arange(BLOCK) / BLOCK).astype(np.float32)
    cosines, sines = np.empty((MOST, BLOCK), np.float32), np.empty((MOST, BLOCK), np.float32)
    real, imaginary = np.empty(MOST), np.empty(MOST)
    turn_real, turn_imaginary = np.empty(MOST), np.empty(MOST)
    amplitude, fast, slow = np.empty(MOST), np.empty(MOST), np.empty(MOST)
    fast_step, slow_step, level = np.empty(MOST), np.empty(MOST), np.empty(MOST)
    longest = 0
    for n in range(len(span_N2)):
        row = table[voice_N[n]]
        length = max(span_N2[n, 1], int(row[0] * RATE))
        longest = max(longest, length + int(9.0 * row[1] * RATE))
    buffer = np.empty(longest + 2 * BLOCK, np.float32)
    for n in range(len(span_N2)):
        begin = span_N2[n, 0]
        row = table[voice_N[n]]
        attack, release, stretch, detune = row[0] * RATE, row[1] * RATE, row[6], row[8]
        hertz, gain, velocity, place = tone_NK[n, 0], tone_NK[n, 1], tone_NK[n, 2], tone_NK[n, 3]
        length = max(span_N2[n, 1], int(attack))
        samples = min(length + int(9.0 * release), total - begin)
        blocks = (samples + BLOCK - 1) // BLOCK
        # Low strings ring longer than high ones.
        pace = (hertz / 440.0) ** 0.65
        for channel in range(2):
            count = 0
            # With a second, softer player, who is a little flat at the left and sharp at the right.
            for q in range(2 * PARTIALS if detune > 0 else PARTIALS):
                p, second = q % PARTIALS, q // PARTIALS
                ratio = row[13 + PARTIALS + p]
                ratio *= math.sqrt((1 + stretch * ratio * ratio) / (1 + stretch))
                angle = (
                    2 * math.pi * hertz * ratio * (1 + second * detune * (2 * channel - 1)) / RATE
                )
                amount = row[13 + p] * (1 - 0.7 * second)
                if amount <= 0.0 or angle > 0.85 * math.pi:
                    continue
                # Softly played notes are darker, and the highest partials never pierce.
                amount *= velocity ** (row[12] * 0.22 * p)
                amount /= 1 + (hertz * ratio / 7000.0) ** 2
                amplitude[count] = amount
                phase = 2.399963 * (q + 1) + (0.17 if channel else -0.17) * (1 + p % 3) + 0.7 * n
                real[count], imaginary[count] = math.cos(phase), math.sin(phase)
                c1, s1, c2, s2 = math.cos(angle), math.sin(angle), 1.0, 0.0
                for i in range(BLOCK):
                    cosines[count, i], sines[count, i] = c2, s2
                    c2, s2 = c2 * c1 - s2 * s1, s2 * c1 + c2 * s1
                turn_real[count], turn_imaginary[count] = c2, s2
                growth = pace * (1 + row[5] * p) * BLOCK / RATE
                fast[count], slow[count] = row[4], 1 - row[4]
                fast_step[count], slow_step[count] = (
                    math.exp(-row[2] * growth),
                    math.exp(-row[3] * growth),
                )
                level[count] = 0.0
                count += 1
            noise, noise_step = row[9], math.exp(-row[10] / RATE)
            seed, smooth = (n * 2654435761 + channel * 40503 + 12345) & WORD, 0.0
            end = 0
            for b in range(blocks):
                at = (b + 1) * BLOCK
                edge = min(1.0, at / attack)
                edge *= 2 - edge  # fast at first, like a bow or breath
                if at > length:
                    edge *= math.exp(-(at - length) / release)
                block = buffer[b * BLOCK : at]
                block[:] = 0.0
                loudest = 0.0
                for p in range(count):
                    fast[p] *= fast_step[p]
                    slow[p] *= slow_step[p]
                    before, after = level[p], edge * amplitude[p] * (fast[p] + slow[p])
                    level[p] = after
                    loudest = max(loudest, after)
                    # A rotation from sample to sample, and a straight line between two levels.
                    c, s = np.float32(real[p]), np.float32(imaginary[p])
                    low, rise = np.float32(before), np.float32(after - before)
                    cosine, sine = cosines[p], sines[p]
                    for i in range(BLOCK):
                        block[i] += (low + rise * ramp[i]) * (c * cosine[i] - s * sine[i])
                    turned = real[p] * turn_real[p] - imaginary[p] * turn_imaginary[p]
                    imaginary[p] = real[p] * turn_imaginary[p] + imaginary[p] * turn_real[p]
                    real[p] = turned
                if noise > QUIET:
                    for i in range(BLOCK):
                        seed = (seed * 1664525 + 1013904223) & WORD
                        smooth += 0.25 * (seed / 2147483648.0 - 1.0 - smooth)
                        block[i] += np.float32(noise * edge * smooth)
                        noise *= noise_step
                end = at
                if at > attack and loudest < QUIET:
                    break
            side = math.sqrt(0.5 * (1 + place if channel else 1 - place))
            heard = sound_2T[channel, begin : begin + min(end, samples)]
            _mix(heard, buffer, gain * row[11] * side, row[7], n + 3 * channel)


@compiled
def _mix(sound_T: Any, buffer: Any, gain: float, vibrato: float, player: int) -> None:
    """Add a note, read with a slowly changing delay for a vibrato."""
    samples = len(sound_T)
    if vibrato == 0.0:
        for i in range(samples):
            sound_T[i] += np.float32(gain) * buffer[i]
        return
    angle = 2 * math.pi * (4.9 + 0.13 * (player % 5)) / RATE
    turn, turn_2 = math.cos(angle), math.sin(angle)
    real, imaginary, size = 1.0, 0.0, np.float32(gain)
    depth, growth = -0.35 * vibrato, vibrato / (0.35 * RATE)  # none in the first tenth of a second
    for i in range(samples):
        depth = min(vibrato, depth + growth)
        real, imaginary = real * turn - imaginary * turn_2, imaginary * turn + real * turn_2
        position = i - max(0.0, depth) * (1 - real)
        at = int(position)
        if at < 1 or at + 2 >= samples:
            sound_T[i] += size * buffer[min(at, samples - 1)]
            continue
        t = np.float32(position - at)
        a, b, c, d = buffer[at - 1], buffer[at], buffer[at + 1], buffer[at + 2]
        # Cubic interpolation (Catmull and Rom).
        inner = c - a + t * (TWO * a - FIVE * b + FOUR * c - d + t * (THREE * (b - c) + d - a))
        sound_T[i] += size * (b + HALF * t * inner)


@compiled
def add_drums(sound_2T: Any, begin_N: Any, gain_N: Any, drum_NK: Any) -> None:
    """Add strokes of drums: a tone that falls, and filtered noise.

    Arguments:
        sound_2T: both channels; strokes are added.
        begin_N: first samples.
        gain_N: of each stroke.
        drum_NK: rows of `drum_row`.
    """
    total = sound_2T.shape[1]
    for n in range(len(begin_N)):
        row, begin = drum_NK[n], begin_N[n]
        tone, noise = row[3] * gain_N[n], row[6] * gain_N[n]
        tone_step, noise_step = math.exp(-row[2] / RATE), math.exp(-row[5] / RATE)
        cut = 1 - math.exp(-2 * math.pi * row[4] / RATE)
        left, right = math.sqrt(0.5 * (1 - row[7])), math.sqrt(0.5 * (1 + row[7]))
        seed, rise, phase = (n * 2654435761 + 977) & WORD, row[1], 0.0
        rise_step = math.exp(-42.0 / RATE)
        low, low2 = 0.0, 0.0
        for i in range(begin, total):
            if tone < QUIET and noise < QUIET:
                break
            seed = (seed * 1664525 + 1013904223) & WORD
            white = seed / 2147483648.0 - 1.0
            low += cut * (white - low)
            high = white - low
            low2 += cut * (high - low2)
            phase += 2 * math.pi * row[0] * (1 + rise) / RATE
            rise *= rise_step
            value = tone * math.sin(phase) * min(1.0, (i - begin + 1) / 30.0) + noise * (
                high - low2
            )
            tone *= tone_step
            noise *= noise_step
            sound_2T[0, i] += np.float32(left * value)
            sound_2T[1, i] += np.float32(right * value)


@compiled
def add_room(sound_2T: Any, wet: float) -> None:
    """Add the reverberation of a small hall.

    Parallel combs with damping, then allpasses (Schroeder 1962, Moorer 1979).

    Arguments:
        sound_2T: both channels, changed in place.
        wet: level of the room.
    """
    total = sound_2T.shape[1]
    feedback, damping = np.float32(0.80), np.float32(0.32)
    dry = np.empty(total, np.float32)
    low = 0.0
    cut = 1 - math.exp(-2 * math.pi * 160.0 / RATE)
    for i in range(total):  # without the bass, which would only boom
        value = sound_2T[0, i] + sound_2T[1, i]
        low += cut * (value - low)
        dry[i] = value - low
    for channel in range(2):
        room = np.zeros(total, np.float32)
        for k in range(len(_COMBS)):
            size = _COMBS[k] + SPREAD * channel
            line, at, filtered = np.zeros(size, np.float32), 0, np.float32(0.0)
            for i in range(total):
                value = line[at]
                room[i] += value
                filtered = value * (1 - damping) + filtered * damping
                line[at] = dry[i] + filtered * feedback
                at = at + 1 if at + 1 < size else 0
        for k in range(len(_PASSES)):
            size = _PASSES[k] + SPREAD * channel
            line, at = np.zeros(size, np.float32), 0
            for i in range(total):
                value = line[at]
                line[at] = room[i] + value * np.float32(0.5)
                room[i] = value - room[i]
                at = at + 1 if at + 1 < size else 0
        for i in range(total):
            sound_2T[channel, i] += np.float32(wet) * room[i]


@compiled
def limit(sound_2T: Any, ceiling: float) -> None:
    """Lower the gain around peaks above a ceiling, ahead of them.

    Arguments:
        sound_2T: both channels, changed in place.
        ceiling: largest absolute value after it.
    """
    total = sound_2T.shape[1]
    recovery = 1 - math.exp(-1 / (0.12 * RATE))
    # Places and gains that may still be the least of a stretch, in a ring.
    places, gains = np.zeros(AHEAD + 1, np.int64), np.ones(AHEAD + 1)
    first, last, held = 0, 0, 1.0
    least, mean = np.ones(AHEAD), float(AHEAD)
    for i in range(total + AHEAD - 1):
        if i < total:
            peak = max(abs(sound_2T[0, i]), abs(sound_2T[1, i]))
            needed = ceiling / peak if peak > ceiling else 1.0
            held = min(needed, held + recovery * (1 - held))
        while last > first and gains[(last - 1) % (AHEAD + 1)] >= held:
            last -= 1
        places[last % (AHEAD + 1)], gains[last % (AHEAD + 1)] = i, held
        last += 1
        if places[first % (AHEAD + 1)] <= i - AHEAD:
            first += 1
        # The least gain of a stretch, then the mean of as many: no step, and no peak is left.
        mean += gains[first % (AHEAD + 1)] - least[i % AHEAD]
        least[i % AHEAD] = gains[first % (AHEAD + 1)]
        at = i - AHEAD + 1
        if at >= 0:
            gain = np.float32(mean / AHEAD)
            sound_2T[0, at] *= gain
            sound_2T[1, at] *= gain
