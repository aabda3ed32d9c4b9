//! What generated code may name, and nothing else: not for use by hand.
