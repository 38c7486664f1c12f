"""keepalived's own dump formats, as programs that read them expect them: pure functions of Plan and Snapshot."""
