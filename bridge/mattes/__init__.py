"""Which pixels of each photograph show the head: outlines, what all views say together, mattes cut out alike."""
