"""Films: frames in and out with their times and sound, flow between them, and what holds a painting still."""
