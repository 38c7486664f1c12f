# OpenSSL as the probe engine needs it. By default servers are not judged (keepalived does not, either) and every
# handshake is a full one; a trust_t asks for more.

from libc.errno cimport ECONNRESET, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t


cdef extern from *:
    """
    #include <openssl/err.h>
    #include <openssl/ssl.h>
    #include <openssl/x509v3.h>
    """
    ctypedef struct SSL:
        pass
    ctypedef struct SSL_CTX:
        pass
    ctypedef struct SSL_METHOD:
        pass
    ctypedef struct SSL_SESSION:
        pass
    ctypedef struct X509:
        pass
    ctypedef struct X509_STORE:
        pass
    ctypedef struct X509_VERIFY_PARAM:
        pass
    ctypedef struct ASN1_TIME:
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
    void SSL_CTX_sess_set_new_cb(SSL_CTX *context, int (*callback)(SSL *, SSL_SESSION *) noexcept nogil)
    int SSL_set_session(SSL *tls, SSL_SESSION *session)
    int SSL_session_reused(const SSL *tls)
    int SSL_has_pending(const SSL *tls)
    void SSL_SESSION_free(SSL_SESSION *session)
    int SSL_set_ex_data(SSL *tls, int index, void *data)
    void *SSL_get_ex_data(const SSL *tls, int index)
    int SSL_set1_verify_cert_store(SSL *tls, X509_STORE *store)
    void SSL_set_verify(SSL *tls, int mode, void *callback)
    long SSL_get_verify_result(const SSL *tls)
    int SSL_set1_host(SSL *tls, const char *name)
    void SSL_set_hostflags(SSL *tls, unsigned int flags)
    X509_VERIFY_PARAM *SSL_get0_param(SSL *tls)
    X509 *SSL_get_peer_certificate(const SSL *tls)
    int SSL_VERIFY_PEER
    int SSL_R_CERTIFICATE_VERIFY_FAILED
    long SSL_SESS_CACHE_CLIENT
    long SSL_SESS_CACHE_NO_INTERNAL
    int SSL_FILETYPE_PEM
    long SSL_MODE_ENABLE_PARTIAL_WRITE
    long SSL_MODE_RELEASE_BUFFERS
    unsigned long long SSL_OP_IGNORE_UNEXPECTED_EOF
    int SSL_ERROR_WANT_READ
    int SSL_ERROR_WANT_WRITE
    int SSL_ERROR_ZERO_RETURN
    int SSL_ERROR_SYSCALL


cdef extern from "openssl/x509v3.h" nogil:
    X509_STORE *X509_STORE_new()
    void X509_STORE_free(X509_STORE *store)
    int X509_STORE_load_locations(X509_STORE *store, const char *file, const char *directory)
    int X509_STORE_set_default_paths(X509_STORE *store)
    int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *param, const char *address)
    void X509_free(X509 *certificate)
    const ASN1_TIME *X509_get0_notAfter(const X509 *certificate)
    int ASN1_TIME_diff(int *days, int *seconds, const ASN1_TIME *before, const ASN1_TIME *after)
    unsigned int X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
    int X509_V_OK
    int X509_V_ERR_CERT_HAS_EXPIRED
    int X509_V_ERR_UNSPECIFIED


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
    TLS_DISTRUST = -4  # an X509_V_ERR of the certificate


cdef enum:
    UNLIMITED = -1  # days
    SESSION_AGE = 3600  # s: a certificate is looked at again at least as often


# What a server must show.
cdef struct trust_t:
    X509_STORE *store  # NULL: certificates are not judged
    const char *name  # that the certificate must be for; NULL: any
    int32_t days_left
    uint8_t numeric  # `name` is an address
    uint8_t resume


# A session that can be resumed, of one target.
cdef struct session_t:
    SSL_SESSION *session
    uint64_t settings  # it was made by, as a number: addresses come again
    int64_t since


cdef inline void session_forget(session_t *kept) noexcept nogil:
    if kept.session != NULL:
        SSL_SESSION_free(kept.session)
        kept.session = NULL


cdef inline int session_comes(SSL *tls, SSL_SESSION *session) noexcept nogil:
    """OpenSSL hands over a session (with TLS 1.3 several, after the handshake): keep the last one. 1: it is ours."""
    cdef session_t *kept = <session_t *> SSL_get_ex_data(tls, 0)
    if kept == NULL:
        return 0
    session_forget(kept)
    kept.session = session
    return 1


cdef inline bint session_use(SSL *tls, session_t *kept, uint64_t settings, int64_t now) noexcept nogil:
    """Ask for the session that is kept, unless it is too old or of other settings; keep those that come."""
    if kept.session != NULL and (kept.settings != settings or now - kept.since > <int64_t> SESSION_AGE * 1_000_000_000):
        session_forget(kept)
    if kept.session == NULL:
        kept.settings = settings
        kept.since = now
    return SSL_set_ex_data(tls, 0, kept) == 1 and (kept.session == NULL or SSL_set_session(tls, kept.session) == 1)


cdef inline bint tls_judge(SSL *tls, const trust_t *trust) noexcept nogil:
    """Have the handshake look at the certificate."""
    if trust.store == NULL:
        return True
    SSL_set_verify(tls, SSL_VERIFY_PEER, NULL)
    if SSL_set1_verify_cert_store(tls, trust.store) != 1:
        return False
    if trust.name == NULL:
        return True
    if trust.numeric:
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), trust.name) == 1
    SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
    return SSL_set1_host(tls, trust.name) == 1


cdef inline SSL *tls_begin(
    SSL_CTX *context, uint64_t settings, int fd, const char *name, bint compliant, const trust_t *trust,
    session_t *kept, int64_t now
) noexcept nogil:
    """A session for a connection that is there, by the `settings`-th context; NULL: no memory."""
    cdef SSL *tls
    ERR_clear_error()
    tls = SSL_new(context)
    if tls == NULL:
        return NULL
    SSL_set_connect_state(tls)
    SSL_set_quiet_shutdown(tls, not compliant)
    if (
        SSL_set_fd(tls, fd) != 1 or (name != NULL and SSL_set_tlsext_host_name(tls, name) != 1)
        or (trust != NULL and not tls_judge(tls, trust))
        or (trust != NULL and trust.resume and not session_use(tls, kept, settings, now))
    ):
        SSL_free(tls)
        return NULL
    return tls


cdef inline int tls_trusted(SSL *tls, const trust_t *trust, int *error, int *days) noexcept nogil:
    """The handshake is done: 1 when the certificate is good for long enough, else TLS_DISTRUST (`error` 0: it is good
    for `days` more). A session that was resumed has the certificate of the handshake that made it."""
    cdef X509 *certificate
    cdef int seconds = 0
    cdef bint known
    if trust.store == NULL and trust.days_left == UNLIMITED:
        return 1
    certificate = SSL_get_peer_certificate(tls)
    error[0] = X509_V_ERR_UNSPECIFIED
    if certificate == NULL:
        return TLS_DISTRUST
    days[0] = 0
    known = ASN1_TIME_diff(days, &seconds, NULL, X509_get0_notAfter(certificate)) == 1
    X509_free(certificate)
    if not known:
        return TLS_DISTRUST
    if days[0] < 0 or seconds < 0:
        error[0] = X509_V_ERR_CERT_HAS_EXPIRED
        return TLS_DISTRUST
    error[0] = 0
    return 1 if days[0] >= trust.days_left else TLS_DISTRUST


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
    if error[0] == SSL_R_CERTIFICATE_VERIFY_FAILED and SSL_get_verify_result(tls) != X509_V_OK:
        error[0] = <int> SSL_get_verify_result(tls)
        return TLS_DISTRUST
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
