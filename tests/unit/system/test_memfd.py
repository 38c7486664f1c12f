"""Sealed memory files."""

import os

import pytest

from fastha.system.memfd import read_sealed, write_sealed


def test_what_is_sealed_reads_back_and_cannot_change():
    fd = write_sealed("test", b"abc" * 1000)
    with pytest.raises(PermissionError):
        os.write(fd, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    assert read_sealed(fd) == b"abc" * 1000
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_an_empty_one():
    assert read_sealed(write_sealed("test", b"")) == b""


def test_an_unsealed_one_is_refused_and_closed():
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="not sealed"):
        read_sealed(fd)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
