"""Odin's simulated token market: walks prices and publishes them to NATS JetStream.

Run it with `python -m wsgo.publisher`; every setting is an environment variable (`settings.py`).
"""
