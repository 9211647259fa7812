"""The wire to the add-on and whoever sits at it. The add-on imports `protocol` from here: standard library only."""
