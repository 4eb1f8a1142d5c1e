"""Settings, from the environment or with defaults for a laptop. Importing this module opens no connection.

A SECRET_KEY in the environment means a deployment, in which DEBUG is off and HTTPS is on by default.
"""

import os
from pathlib import Path

import environ
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from kombu import Queue
from pythonjsonlogger.core import RESERVED_ATTRS

from config.api.openapi_names import OPENAPI_ENUM_NAMES
from config.office.theme import UNFOLD  # noqa: F401  read by django-unfold
from config.server.broker_options import choose_transport_options
from config.server.secret_files import load_secret_files
from config.server.secret_key import load_laptop_secret_key
from config.signin.providers import read_providers

load_secret_files()
env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data"))).expanduser().absolute()

# --- Deployment --------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default="SECRET_KEY" not in env.ENVIRON)
HTTPS = env.bool("HTTPS", default=not DEBUG)
SECRET_KEY = env.str("SECRET_KEY", default="") or (load_laptop_secret_key(DATA_DIR) if DEBUG else "")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])  # earlier keys, for sessions, links and secrets
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOCAL_HOSTS)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1/128"])  # whose X-Forwarded-* are believed
PORT = env.int("PORT", default=8000)
DATABASE_URL = env.str("DATABASE_URL", default="")
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="")  # for `migrate`; by default, DATABASE_URL
REDIS_URL = env.str("REDIS_URL", default="")
BROKER_URL = env.str("BROKER_URL", default=REDIS_URL)  # Redis or RabbitMQ; several are separated by semicolons
BACKUP_DIR = Path(env.str("BACKUP_DIR")).expanduser().absolute() if env.str("BACKUP_DIR", default="") else None
BACKUP_KEEP = env.int("BACKUP_KEEP", default=14)  # how many backups are kept
BACKUP_MAX_HOURS = env.int("BACKUP_MAX_HOURS", default=26)  # when the newest verified backup is too old

SELF_TEST = env.bool("SELF_TEST", default=False)  # send, count and invoice known usage every few minutes
SELF_TEST_URL = env.str("SELF_TEST_URL", default=f"http://127.0.0.1:{PORT}")  # where the worker reaches the product

# --- Company -----------------------------------------------------------------------------------------
COMPANY_NAME = env.str("COMPANY_NAME", default="Example Company")
DEFAULT_CURRENCY = env.str("DEFAULT_CURRENCY", default="USD")
INVOICE_GRACE_DAYS = env.int("INVOICE_GRACE_DAYS", default=0)  # days a draft waits before it is finalized
INVOICE_DUE_DAYS = env.int("INVOICE_DUE_DAYS", default=30)
LEDGER_DAYS = env.int("LEDGER_DAYS", default=0)  # how long events are kept after they occurred; 0 means forever
# Where settled events go: file:///path, s3://bucket/prefix or clickhouse://host/database; empty keeps them in
# PostgreSQL. SEAL_AFTER_DAYS is at least the longest billing period and its grace period. SEAL_ROWS are the events of
# a part.
EVENT_HISTORY = env.str("EVENT_HISTORY", default="")
SEAL_AFTER_DAYS = env.int("SEAL_AFTER_DAYS", default=45)
SEAL_ROWS = env.int("SEAL_ROWS", default=1_000_000)
SEAL_PAUSE_ABOVE = env.int("SEAL_PAUSE_ABOVE", default=100_000)  # waiting events; they are counted first
SEAL_ORPHAN_DAYS = env.int("SEAL_ORPHAN_DAYS", default=35)  # longer than backups are kept, which may name old objects
LOG_DAYS = env.int("LOG_DAYS", default=30)  # how long refused requests, batches and checks are kept
SIGN_IN_LOG_DAYS = env.int("SIGN_IN_LOG_DAYS", default=400)  # 0 means forever
ACCEPT_NUMERIC_STRINGS = env.bool("ACCEPT_NUMERIC_STRINGS", default=False)  # for new features
RATE_LIMIT_SINGLE_PER_MINUTE = env.int("RATE_LIMIT_SINGLE_PER_MINUTE", default=60000)  # per key; 0 means no limit
RATE_LIMIT_BULK_PER_MINUTE = env.int("RATE_LIMIT_BULK_PER_MINUTE", default=6000)
WEBHOOK_PRIVATE_TARGETS = env.bool("WEBHOOK_PRIVATE_TARGETS", default=False)  # allow http:// and private addresses
EVENT_EARLIEST_YEAR = env.int("EVENT_EARLIEST_YEAR", default=2000)  # an earlier timestamp is rejected as a mistake
EVENT_LATEST_DAYS_AHEAD = env.int("EVENT_LATEST_DAYS_AHEAD", default=366)

# --- Django ------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.inlines",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "auditlog",
    "csp",
    "django_celery_beat",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "pgtrigger",
    "rest_framework",
    "catalog.apps.CatalogConfig",
    "customers.apps.CustomersConfig",
    "events.apps.EventsConfig",
    "billing.apps.BillingConfig",
]

MIDDLEWARE = [
    "config.server.requests.ForwardedMiddleware",
    "config.server.requests.RequestIdMiddleware",
    "config.server.headers.BrowserHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.server.probes.ProbeMiddleware",
    "events.access.middleware.RefusalLogMiddleware",
    "config.server.refused.RefusedMiddleware",
    "events.access.middleware.IngestLaneMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.signin.middleware.SignInMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "config.approvals.middleware.ApprovalMiddleware",
]

ROOT_URLCONF = "config.urls"
APPEND_SLASH = False  # a redirected POST becomes a GET, and the admin adds its own slashes
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SITE_ID = 1

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# --- Database, cache, files --------------------------------------------------------------------------
# Each thread keeps its connection, which opens with the timeouts of the thread's work: see config/timeouts.py.
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgresql:///countinghouse")}
DATABASE_OWNER = env.db_url("DATABASE_OWNER_URL") if DATABASE_OWNER_URL else dict(DATABASES["default"])
DATABASE_ROLE, DATABASE_ROLE_PASSWORD = (DATABASES["default"].get(name, "") for name in ("USER", "PASSWORD"))
# A host that vanished is noticed within 25 seconds: when it doesn't confirm data, or doesn't answer while we wait.
NETWORK_OPTIONS = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
for database in (DATABASES["default"], DATABASE_OWNER):
    database["OPTIONS"] = NETWORK_OPTIONS | database.get("OPTIONS", {})
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# The default cache counts attempts to sign in and codes that were used. It is in PostgreSQL, so that all processes
# share it, no attempt is forgotten by a restart, and sign-in works while Redis doesn't. Figures of slow pages have
# their own.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "config_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    "figures": {
        "BACKEND": "config.server.cache.FiguresCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

# --- Language and time -------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = True
FORMAT_MODULE_PATH = ["config.formats"]
USE_TZ = True
TIME_ZONE = "UTC"

# --- Sign-in -----------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["config.signin.backends.StaffBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "config.signin.passwords.RecordedPasswordValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_ENGINE = "config.signin.sessions"
SESSION_COOKIE_AGE = 7 * 24 * 60 * 60  # the longest that the rules for signing in allow; they end sessions sooner
ACCOUNT_ADAPTER = "config.signin.adapters.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"  # owners enter the addresses
ACCOUNT_FORMS = {"login": "config.signin.forms.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 0  # `config.signin.confirming` decides, by the rules
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*"]
# Attempts by address (ip), account (key) and signed-in colleague (user), before a password or code is checked.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "30/15m/ip,10/15m/key",
    "reauthenticate": "10/m/user",
}
MFA_ADAPTER = "config.signin.adapters.FactorAdapter"
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Countinghouse"
MFA_TOTP_TOLERANCE = 1  # a code works half a minute early or late, as clocks differ
SOCIALACCOUNT_ADAPTER = "config.signin.adapters.ProviderAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form would be stopped by form-action in the CSP when the provider redirects
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": read_providers(env)}}

# --- Security ----------------------------------------------------------------------------------------
# With HTTPS, browsers accept the names only from this very host over HTTPS: a neighbour can't plant a cookie.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"  # a link to an invoice in an email opens it
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True  # pages have the token in their forms
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz|healthz|metrics)$"]  # asked inside the network, over plain HTTP
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # the largest batch of events, as documented in the API
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# Unfold's pages use Alpine attributes, which Alpine compiles to functions ('unsafe-eval'), and style attributes and
# elements. Inline scripts need the request's nonce: <script nonce="{{ CSP_NONCE }}">.
# See docs/decisions/0005-content-security-policy.md.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL, NONCE],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "media-src": [NONE],
        "manifest-src": [NONE],
        "worker-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

# --- API ---------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["config.api.renderers.ExactJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsers.ExactJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.api.parsers.JsonNegotiation",
    "DEFAULT_AUTHENTICATION_CLASSES": ["events.access.authentication.ApiKeyAuthentication"],
    "DEFAULT_THROTTLE_CLASSES": ["events.access.throttling.KeyThrottle"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.LimitOffsetPages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.handlers.api_exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "iso-8601",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Countinghouse API",
    "VERSION": "1",
    "CONTACT": {"name": COMPANY_NAME},
    "SERVERS": [{"url": "/", "description": "This server"}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": OPENAPI_ENUM_NAMES,
    "OAS_VERSION": "3.1.1",
    "WEBHOOKS": "billing.api.messages.MESSAGES",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.openapi_parts.tidy",
        "config.api.openapi_parts.introduce",
        "config.api.openapi_hooks.describe_all",
        "config.api.openapi_hooks.close_bodies",
        "config.api.openapi_hooks.show_examples",
    ],
}

# --- Celery ------------------------------------------------------------------------------------------
BROKER_DIR = DATA_DIR / "broker"
CELERY_BROKER_URL = BROKER_URL or "folder://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS = choose_transport_options(CELERY_BROKER_URL, BROKER_DIR)
if BROKER_URL.startswith("amqps:"):
    CELERY_BROKER_USE_SSL = {"ca_certs": env.str("BROKER_CA", default="") or None}  # by default, the system's
CELERY_BROKER_HEARTBEAT = 10  # with RabbitMQ, a worker notices within 20 seconds that it is cut off
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # tries for ever
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
# A large run's chunks have their own queue. Workers alternate between both queues, so that no task waits for a run.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("celery", "runs")]
CELERY_TASK_ROUTES = {
    "billing.tasks.bill_chunk": {"queue": "runs"},
    "billing.tasks.foresee_chunk": {"queue": "runs"},
    "billing.tasks.finalize_due": {"queue": "runs"},
    "billing.tasks.go_on_with_proofs": {"queue": "runs"},
    "events.tasks.seal": {"queue": "runs"},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TRACK_STARTED = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Its queue belongs to one connection, so that RabbitMQ would refuse a worker that returns while the old one seems open.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULER = "config.server.scheduler:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- Alarms ------------------------------------------------------------------------------------------
# Tests shorten all waits of alarms by the same factor: 0.1 makes an alarm open ten times earlier.
ALARM_PACE = env.float("ALARM_PACE", default=1)
ALARM_EMAILS = env.list("ALARM_EMAILS", default=[])  # who gets an email about each alarm
SITE_URL = env.str("SITE_URL", default="").rstrip("/")  # the address of this installation, for links in emails
DISK_ALARM_GB = env.float("DISK_ALARM_GB", default=2)  # alarm below this much space, if the database is embedded
DATABASE_QUOTA_GB = env.float("DATABASE_QUOTA_GB", default=0)  # alarm at 90 % of it; 0 means no quota

# --- Emails ------------------------------------------------------------------------------------------
# smtp+tls://user:password@host:587. By default, emails are written to files, and the admin shows them.
EMAIL_OUTBOX = DATA_DIR / "emails"
vars().update(env.email_url("EMAIL_URL", default=f"filemail:///{EMAIL_OUTBOX}"))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="countinghouse@localhost")
EMAIL_TIMEOUT = 10
EMAILS_PER_MINUTE = env.int("EMAILS_PER_MINUTE", default=60)  # to customers; 0 means no limit
EMAIL_ATTACHMENT_MB = env.int("EMAIL_ATTACHMENT_MB", default=10)
# A provider of django-anymail, such as mailgun, postmark or amazon_ses, instead of EMAIL_URL. Its settings are
# variables such as ANYMAIL_MAILGUN_API_KEY. Bounces need ANYMAIL_WEBHOOK_SECRET=user:password.
EMAIL_PROVIDER = env.str("EMAIL_PROVIDER", default="")
ANYMAIL = {name.removeprefix("ANYMAIL_"): value for name, value in os.environ.items() if name.startswith("ANYMAIL_")}
if EMAIL_PROVIDER:
    INSTALLED_APPS.append("anymail")
    EMAIL_BACKEND = f"anymail.backends.{EMAIL_PROVIDER}.EmailBackend"
elif vars()["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
    EMAIL_BACKEND = "config.server.smtp.EmailBackend"

# --- Metrics and logs --------------------------------------------------------------------------------
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")  # who sends it reads /metrics; without both, it is off
METRICS_ADDRESSES = env.list("METRICS_ADDRESSES", default=[])  # networks that read /metrics without the token
ACCESS_LOG = env.bool("ACCESS_LOG", default=False)  # a line for each request
if METRICS_TOKEN or METRICS_ADDRESSES:
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(DATA_DIR / "metrics"))  # read when its library is imported

# --- Imports and exports -----------------------------------------------------------------------------
# The file of an import is in the database between its preview and its confirmation, which another host may answer.
IMPORT_EXPORT_TMP_STORAGE_CLASS = "import_export.tmp_storages.CacheStorage"
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"  # an export shows what the list shows
IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "add"

# --- Audit and logs ----------------------------------------------------------------------------------
AUDITLOG_CID_HEADER = "x-request-id"
AUDITLOG_STORE_JSON_CHANGES = True

# Where the change log is copied to: file:///path, syslog+udp://host:514, syslog+tcp://host:601,
# syslog+unix:///dev/log, or https://address, whose messages are signed with the secret.
CHANGE_LOG_STREAM = env.str("CHANGE_LOG_STREAM", default="")
CHANGE_LOG_STREAM_SECRET = env.str("CHANGE_LOG_STREAM_SECRET", default="")

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="console")  # or json: an object on each line
ERROR_HANDLER = env.str("ERROR_HANDLER", default="logging.NullHandler")  # a class that gets each error, too
SENTRY_DSN = env.str("SENTRY_DSN", default="")
TRACING = bool(env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default=""))  # by OpenTelemetry, which reads the address itself
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "config.server.log.ContextFilter"},
        "secrets": {"()": "config.server.secret_paths.SecretsFilter"},
    },
    "formatters": {
        "console": {"format": "{asctime} {levelname} {name} [{context}] {message}", "style": "{"},
        "json": {
            "()": "pythonjsonlogger.orjson.OrjsonFormatter",
            "fmt": "{levelname}{name}{message}{request_id}{task}{task_id}",
            "style": "{",
            "rename_fields": {"levelname": "level", "name": "logger"},
            "reserved_attrs": [*RESERVED_ATTRS, "context", "request"],  # of Django, whose address may have a secret
            "timestamp": "time",
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["context", "secrets"]},
        "errors": {"class": ERROR_HANDLER, "level": "ERROR", "filters": ["context", "secrets"]},
    },
    "root": {"handlers": ["console", "errors"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"level": "WARNING"},
        # A task every second would fill the log.
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}
