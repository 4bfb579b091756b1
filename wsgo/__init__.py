"""ws-go: fans out one NATS JetStream stream to many WebSocket clients. Run it with `python -m wsgo`."""

__version__ = "1.0.0"
