"""How answers are printed: the same document as table, JSON, JSON lines, YAML or CSV."""
