"""A conversation with a WebSocket at a terminal or in a pipe: what ``unisock connect`` runs."""
