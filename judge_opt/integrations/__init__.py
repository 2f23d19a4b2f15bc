"""Other systems' data and interfaces. Nothing here is imported unless it is used."""
