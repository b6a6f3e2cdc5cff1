//! What happens when an actor fails.
