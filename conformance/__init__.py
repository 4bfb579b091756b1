"""RFC 6455 conformance: Autobahn's fuzzing client against the server's own protocol class."""
