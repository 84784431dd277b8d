"""What captions become: a sheet to look at, text for the terminal, pairs to train on."""
