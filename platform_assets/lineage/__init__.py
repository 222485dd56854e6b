"""Questions about what was made from what, and whether all of it is still what was recorded."""
