"""The main job: what a person asks for, the wiring of its pipeline, running it, and its end."""
