"""Standard MIDI files: read leniently, written exactly."""
