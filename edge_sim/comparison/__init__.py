"""Two reports side by side: the facts in their JSON, and which of them differ."""
