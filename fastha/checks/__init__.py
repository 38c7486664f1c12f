"""Layer 1: the life of checkers, without IO."""
