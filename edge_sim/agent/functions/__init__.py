"""Functions as the core runs them: their process and view, the local endpoint, shadows, access."""
