"""Children for tests of the supervisor: the real `Child` around work that does nothing but tell."""
