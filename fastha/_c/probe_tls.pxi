# What TLS probes present of their own: OpenSSL's settings, made from a Plan. Included by `_checks.pyx`.

import os

from cython cimport final
from libc.string cimport memcpy, strlen

from tls cimport (
    ERR_clear_error, ERR_error_string_n, ERR_peek_last_error, SSL_CTX, SSL_CTX_check_private_key, SSL_CTX_free,
    SSL_CTX_load_verify_locations, SSL_CTX_new, SSL_CTX_set_default_passwd_cb, SSL_CTX_set_default_passwd_cb_userdata,
    SSL_CTX_set_mode, SSL_CTX_set_options, SSL_CTX_set_session_cache_mode, SSL_CTX_use_certificate_chain_file,
    SSL_CTX_use_PrivateKey_file, SSL_FILETYPE_PEM, SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_RELEASE_BUFFERS,
    SSL_OP_IGNORE_UNEXPECTED_EOF, SSL_SESS_CACHE_OFF, TLS_client_method,
)


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
        SSL_CTX_set_session_cache_mode(self.context, SSL_SESS_CACHE_OFF)
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
