"""Operations that a person, the daemon and an assistant run alike: each answers one question of an operator."""
