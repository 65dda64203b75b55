"""An encoder over images, whatever it is and returns."""
