"""The HTTP server: connections with deadlines, and who may ask. It knows no routes of its own."""
