"""The book's rooms: what only its chapters import. The library never imports anything of them."""
