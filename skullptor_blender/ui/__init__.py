"""What the artist sees: panels, preferences, properties, pictures. Draws state, computes nothing."""
