"""A reader's own encoder: measured, recorded, compared; and the trained one that comes along."""
