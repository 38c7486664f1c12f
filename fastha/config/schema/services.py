"""Checkers that hold a dialogue with a service: all fastha's own."""

from dataclasses import replace

from fastha.config.arguments import Bool, Text
from fastha.config.schema.checkers import CONNECTION, deadline, timing
from fastha.config.schema.entry import Block, Repeat, Status, Word
from fastha.model.plan import Service

OURS = Status.OURS
ACCOUNT = "nobody: no more than a greeting is exchanged"


def _text(name: str, shape: str, default: str, effect: str, example: str) -> Word:
    return Word(
        name=name,
        arguments=Text(shape),
        repeat=Repeat.REPLACED,
        default=default,
        effect=effect,
        status=OURS,
        example=f"{name} {example}",
    )


TLS = (
    Word(
        name="tls",
        arguments=Bool(),
        default="false",
        effect="Speaks TLS; MYSQL_CHECK and PGSQL_CHECK begin it within their own protocol, and only with a user.",
        status=OURS,
        example="tls",
    ),
    _text(
        "tls_ca",
        "PATH|system",
        "none: any certificate will do",
        "Certificates that the server's is judged by; system: those of this host.",
        "/etc/ssl/ca.pem",
    ),
    _text(
        "tls_name",
        "NAME",
        "none",
        "Name sent in the handshake; with tls_ca the certificate must have it.",
        "db.example.net",
    ),
)
PASSWORD = _text(
    "password_file",
    "PATH",
    "none",
    "Its first line is the password; read for each check.",
    "/etc/keepalived/secret",
)


def _block(service: Service, *words: Word) -> Block:
    path = f"{service}_CHECK"
    common = (*CONNECTION, *timing("1", "1"), deadline("twice connect_timeout"), *TLS)
    return Block(path=path, words=tuple(replace(word, status=OURS) for word in (*common, *words)))


BLOCKS = (
    _block(
        Service.GRPC,
        _text(
            "service",
            "NAME",
            "the server as a whole",
            "Service whose health is asked; good is SERVING.",
            "shop.v1.Cart",
        ),
        _text("authority", "NAME", "address and port", "What the call is made to (:authority).", "cart.example.net"),
    ),
    _block(
        Service.MYSQL,
        _text("user", "NAME", ACCOUNT, "Logs in and pings. A server blocks hosts that only greet too often.", "check"),
        PASSWORD,
    ),
    _block(
        Service.PGSQL,
        _text("user", "NAME", ACCOUNT, "Logs in and asks for SELECT 1.", "check"),
        PASSWORD,
        _text("database", "NAME", "as the user", "Database to log in to.", "postgres"),
    ),
    _block(
        Service.REDIS,
        _text("user", "NAME", "the server's default user", "Account (AUTH), with password_file.", "check"),
        PASSWORD,
    ),
    _block(
        Service.LDAP,
        _text("user", "DN", "anonymous", "Distinguished name to bind as, with password_file.", '"cn=check,dc=example"'),
        PASSWORD,
    ),
)
_EFFECTS = {
    Service.GRPC: ("Up while the gRPC health service says SERVING.", "service shop.v1.Cart"),
    Service.MYSQL: ("Up while MySQL or MariaDB greets, or lets a user log in.", "user check"),
    Service.PGSQL: ("Up while PostgreSQL accepts connections, or lets a user log in.", "database shop"),
    Service.REDIS: ("Up while Redis answers a PING.", ""),
    Service.LDAP: ("Up while a directory lets one bind.", "tls"),
}
WORDS = tuple(
    Word(
        name=f"{service}_CHECK",
        opens=f"{service}_CHECK",
        repeat=Repeat.MANY,
        effect=effect,
        status=OURS,
        example=f"{service}_CHECK {{ {example} }}" if example else f"{service}_CHECK {{}}",
    )
    for service, (effect, example) in _EFFECTS.items()
)
"""What opens these blocks in a real_server."""
