"""Pictures of scores: piano rolls and engraved pages."""
