"""The nouns of chaosbench: frozen values without behaviour that does I/O."""
