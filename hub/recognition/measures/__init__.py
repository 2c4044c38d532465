"""What mutual recognition brings, counted from the decisions: each number with its definition, version, and what it leaves out."""
