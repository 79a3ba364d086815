"""Sound of scores: a synthesiser, SoundFonts, and files of sound."""
