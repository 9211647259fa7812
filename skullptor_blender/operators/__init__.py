"""The buttons: each calls scene/ and link/ in a few lines."""
