"""What a search waits for when it is away, as it is said: read also where nothing is decided."""

AWAY = "the folder for checkpoints is away"
EDITED = "the script was edited"
LOOKED_AT = "it is looked at every second"
"""So ends what is said of a rest that ends when a thing is back, or else the search."""
NO_PYTHON = "the script is no Python any more"
