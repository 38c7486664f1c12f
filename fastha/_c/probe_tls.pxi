# What TLS probes present of their own, and what servers must show: made from a Plan. Included by `_checks.pyx`.

import os

from cpython.bytes cimport PyBytes_AS_STRING
from cython cimport final
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcpy, strlen

from ring cimport ring_store
from tls cimport (
    ERR_clear_error, ERR_error_string_n, ERR_peek_last_error, SSL_CTX, SSL_CTX_check_private_key, SSL_CTX_free,
    SSL_CTX_load_verify_locations, SSL_CTX_new, SSL_CTX_set_default_passwd_cb, SSL_CTX_set_default_passwd_cb_userdata,
    SSL_CTX_set_mode, SSL_CTX_set_options, SSL_CTX_set_session_cache_mode, SSL_CTX_use_certificate_chain_file,
    SSL_CTX_use_PrivateKey_file, SSL_FILETYPE_PEM, SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_IGNORE_UNEXPECTED_EOF, SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL, SSL_CTX_sess_set_new_cb,
    TLS_client_method, UNLIMITED, X509_STORE, X509_STORE_free, X509_STORE_load_locations, X509_STORE_new,
    X509_STORE_set_default_paths, session_comes, trust_t,
)

from fastha.model.net import packed


cdef int pass_phrase(char *where, int size, int writing, void *phrase) noexcept nogil:
    """OpenSSL asks for the pass phrase of a key; without one it must not ask the terminal."""
    cdef size_t length = strlen(<char *> phrase) if phrase != NULL else 0
    if length > <size_t> size:
        return 0
    memcpy(where, phrase, length)
    return <int> length


cdef str openssl_error():
    cdef char words[256]
    ERR_error_string_n(ERR_peek_last_error(), words, sizeof(words))
    ERR_clear_error()
    return (<char *> words).decode("ascii", "replace").rpartition(":")[2]


@final
cdef class TlsContext:
    cdef SSL_CTX *context

    def __init__(self, wanted):
        cdef bytes phrase = None if wanted.password is None else os.fsencode(wanted.password)
        ERR_clear_error()
        self.context = SSL_CTX_new(TLS_client_method())
        if self.context == NULL:
            raise ValueError(f"no TLS: {openssl_error()}")
        SSL_CTX_set_mode(self.context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS)
        # a body may end with the connection, without a close_notify
        SSL_CTX_set_options(self.context, SSL_OP_IGNORE_UNEXPECTED_EOF)
        # the targets that resume their sessions keep them
        SSL_CTX_set_session_cache_mode(self.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL)
        SSL_CTX_sess_set_new_cb(self.context, session_comes)
        SSL_CTX_set_default_passwd_cb(self.context, pass_phrase)
        SSL_CTX_set_default_passwd_cb_userdata(self.context, NULL if phrase is None else PyBytes_AS_STRING(phrase))
        try:
            self.load(wanted)
        finally:
            SSL_CTX_set_default_passwd_cb_userdata(self.context, NULL)

    cdef int load(self, wanted) except -1:
        cdef bytes path
        if wanted.ca is not None:
            path = os.fsencode(wanted.ca)
            if SSL_CTX_load_verify_locations(self.context, path, NULL) != 1:
                raise ValueError(f"ca {wanted.ca}: {openssl_error()}")
        if wanted.certificate is not None:
            path = os.fsencode(wanted.certificate)
            if SSL_CTX_use_certificate_chain_file(self.context, path) != 1:
                raise ValueError(f"certificate {wanted.certificate}: {openssl_error()}")
        if wanted.key is not None:
            path = os.fsencode(wanted.key)
            if SSL_CTX_use_PrivateKey_file(self.context, path, SSL_FILETYPE_PEM) != 1:
                raise ValueError(f"key {wanted.key}: {openssl_error()}")
            if wanted.certificate is not None and SSL_CTX_check_private_key(self.context) != 1:
                raise ValueError(f"key {wanted.key} is not that of {wanted.certificate}")
        return 0

    def __dealloc__(self):
        SSL_CTX_free(self.context)


cdef X509_STORE *authorities(str path) except NULL:
    """The certificates of a file, or of the host; ValueError says why not."""
    cdef bytes name = os.fsencode(path)
    cdef X509_STORE *store
    if path != "system":
        try:
            open(path).close()
        except OSError as error:
            raise ValueError(error.strerror) from None
    store = X509_STORE_new()
    ERR_clear_error()
    if store == NULL:
        raise MemoryError
    if path == "system":
        X509_STORE_set_default_paths(store)
    elif X509_STORE_load_locations(store, name, NULL) != 1:
        X509_STORE_free(store)
        raise ValueError(openssl_error())
    return store


def authorities_error(str path):
    try:
        X509_STORE_free(authorities(path))
    except ValueError as error:
        return str(error)
    return ""


@final
cdef class _Store:
    """Owner of certificates to judge by. A file that cannot be read trusts nobody (the configuration says so)."""

    cdef X509_STORE *store

    def __init__(self, str path):
        try:
            self.store = authorities(path)
        except ValueError:
            self.store = X509_STORE_new()
            if self.store == NULL:
                raise MemoryError from None

    def __dealloc__(self):
        X509_STORE_free(self.store)


@final
cdef class _Trust:
    """Owner of one trust_t: what a server must show."""

    cdef trust_t trust
    cdef object path, __weakref__
    cdef bytes name
    cdef _Store store

    def __init__(self, wanted):
        self.path = wanted.ca
        self.trust.resume = wanted.resume
        self.trust.days_left = UNLIMITED if wanted.days_left is None else <int32_t> wanted.days_left
        if wanted.name is not None:
            self.name = wanted.name.encode("ascii")
            self.trust.name = PyBytes_AS_STRING(self.name)
            try:
                packed(wanted.name)
                self.trust.numeric = 1
            except ValueError:
                self.trust.numeric = 0
        self.renew()

    cdef object renew(self):
        """Read the file again; what was used up to now, which the thread may be using."""
        cdef _Store before = self.store
        if self.path is not None:
            self.store = _Store(self.path)
            ring_store(<uint64_t *> &self.trust.store, <uint64_t> self.store.store)
        return before
