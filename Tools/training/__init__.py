"""The recipe of the pocket bundle: teachers, texts, networks, training and export."""
