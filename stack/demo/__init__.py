"""The main job, end to end: a shop that is used, and proof that every copy of its data is equal to the source."""
