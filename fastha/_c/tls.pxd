# OpenSSL as the probe engine needs it. Servers are not verified (keepalived does not, either); every handshake is a
# full one.

from libc.errno cimport ECONNRESET, errno


cdef extern from *:
    """
    #include <openssl/err.h>
    #include <openssl/ssl.h>
    """
    ctypedef struct SSL:
        pass
    ctypedef struct SSL_CTX:
        pass
    ctypedef struct SSL_METHOD:
        pass


cdef extern from "openssl/ssl.h" nogil:
    const SSL_METHOD *TLS_client_method()
    SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
    void SSL_CTX_free(SSL_CTX *context)
    long SSL_CTX_set_mode(SSL_CTX *context, long mode)
    unsigned long long SSL_CTX_set_options(SSL_CTX *context, unsigned long long options)
    long SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode)
    int SSL_CTX_load_verify_locations(SSL_CTX *context, const char *file, const char *directory)
    int SSL_CTX_use_certificate_chain_file(SSL_CTX *context, const char *file)
    int SSL_CTX_use_PrivateKey_file(SSL_CTX *context, const char *file, int kind)
    int SSL_CTX_check_private_key(const SSL_CTX *context)
    void SSL_CTX_set_default_passwd_cb(SSL_CTX *context, int (*callback)(char *, int, int, void *) noexcept nogil)
    void SSL_CTX_set_default_passwd_cb_userdata(SSL_CTX *context, void *data)
    SSL *SSL_new(SSL_CTX *context)
    void SSL_free(SSL *tls)
    int SSL_set_fd(SSL *tls, int fd)
    void SSL_set_connect_state(SSL *tls)
    void SSL_set_quiet_shutdown(SSL *tls, int quiet)
    long SSL_set_tlsext_host_name(SSL *tls, const char *name)
    int SSL_do_handshake(SSL *tls)
    int SSL_read(SSL *tls, void *data, int size)
    int SSL_write(SSL *tls, const void *data, int size)
    int SSL_shutdown(SSL *tls)
    int SSL_get_error(const SSL *tls, int result)
    int SSL_FILETYPE_PEM
    long SSL_MODE_ENABLE_PARTIAL_WRITE
    long SSL_MODE_RELEASE_BUFFERS
    long SSL_SESS_CACHE_OFF
    unsigned long long SSL_OP_IGNORE_UNEXPECTED_EOF
    int SSL_ERROR_WANT_READ
    int SSL_ERROR_WANT_WRITE
    int SSL_ERROR_ZERO_RETURN
    int SSL_ERROR_SYSCALL


cdef extern from "openssl/err.h" nogil:
    void ERR_clear_error()
    unsigned long ERR_peek_error()
    unsigned long ERR_peek_last_error()
    int ERR_GET_REASON(unsigned long error)
    void ERR_error_string_n(unsigned long error, char *text, size_t size)


cdef enum tls_end:
    TLS_WAIT = -1
    TLS_ENDED = 0  # the peer has closed
    TLS_SYSTEM = -2  # errno
    TLS_FAILED = -3  # a reason of the library


cdef inline SSL *tls_begin(SSL_CTX *context, int fd, const char *name, bint compliant) noexcept nogil:
    """A session for a connection that is there; NULL: no memory."""
    cdef SSL *tls
    ERR_clear_error()
    tls = SSL_new(context)
    if tls == NULL:
        return NULL
    if SSL_set_fd(tls, fd) != 1 or (name != NULL and SSL_set_tlsext_host_name(tls, name) != 1):
        SSL_free(tls)
        return NULL
    SSL_set_connect_state(tls)
    SSL_set_quiet_shutdown(tls, not compliant)
    return tls


cdef inline void tls_finish(SSL *tls) noexcept nogil:
    """The end of a session, with a close_notify if it was begun as compliant; the descriptor stays open."""
    ERR_clear_error()
    SSL_shutdown(tls)
    ERR_clear_error()
    SSL_free(tls)


cdef inline int tls_result(SSL *tls, int result, int *error) noexcept nogil:
    """What a result that is not positive means: a tls_end, with errno or the library's reason in `error`."""
    cdef int system = errno
    cdef int what = SSL_get_error(tls, result)
    if what == SSL_ERROR_WANT_READ or what == SSL_ERROR_WANT_WRITE:
        return TLS_WAIT
    if what == SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED
    if what == SSL_ERROR_SYSCALL and not ERR_peek_error():
        error[0] = system if system else ECONNRESET
        return TLS_SYSTEM
    error[0] = ERR_GET_REASON(ERR_peek_error())
    return TLS_FAILED


cdef inline int tls_handshake(SSL *tls, int *error) noexcept nogil:
    """1 when it is done, else a tls_end."""
    cdef int result
    ERR_clear_error()
    result = SSL_do_handshake(tls)
    return 1 if result == 1 else tls_result(tls, result, error)


cdef inline int tls_read(SSL *tls, char *data, int size, int *error) noexcept nogil:
    """Octets read, or a tls_end."""
    cdef int result
    ERR_clear_error()
    result = SSL_read(tls, data, size)
    return result if result > 0 else tls_result(tls, result, error)


cdef inline int tls_write(SSL *tls, const char *data, int size, int *error) noexcept nogil:
    """Octets written, or a tls_end."""
    cdef int result
    ERR_clear_error()
    result = SSL_write(tls, data, size)
    return result if result > 0 else tls_result(tls, result, error)
