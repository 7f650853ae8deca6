"""The Python host: loads the function's handler as Lambda does and serves events over the frames of
docs/formats/frames.md on descriptor 3, sitting in a blocking read between them; with several seats, in a process for
each of them. Absent: extensions,
named tuples as JSON objects."""

import importlib
import json
import logging
import os
import sys
import time
import traceback
import types
from threading import Lock

CHANNEL = 3
SEATS = int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY") or 1)
READ_BYTES = 64 * 1024
# Longer messages are sent in pieces: no frame may be longer than an answer.
LOG_PIECE_CHARS = 1024 * 1024
CHUNK_BYTES = 64 * 1024
INDENT = "\u00a0"  # CloudWatch strips plain blanks at the beginning of a line.

IS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"

_write_lock = Lock()
_request_id = None
_is_child = False


def _after_fork():
    """A child of the function has no say on the channel; what it logs goes to its standard output."""
    global _is_child, _write_lock
    _is_child = True
    _write_lock = Lock()


os.register_at_fork(after_in_child=_after_fork)


# ---- frames


def _send(kind, *pieces):
    length = 1 + sum(len(piece) for piece in pieces)
    frame = memoryview(b"".join((length.to_bytes(4, "little"), kind, *pieces)))
    with _write_lock:
        while frame:
            try:
                frame = frame[os.write(CHANNEL, frame) :]
            except BlockingIOError:
                # Somebody made the descriptor non-blocking; the host reads all the time, so there will be room soon.
                time.sleep(0.001)


def _send_log(message):
    if _is_child:
        sys.stdout.write(message + "\n")
        return
    stamp = (time.time_ns() // 1_000_000).to_bytes(8, "little")
    for start in range(0, max(len(message), 1), LOG_PIECE_CHARS):
        piece = message[start : start + LOG_PIECE_CHARS]
        _send(b"L", stamp, piece.encode("utf-8", "backslashreplace"))


def _read(count_max):
    while True:
        try:
            data = os.read(CHANNEL, count_max)
        except BlockingIOError:
            time.sleep(0.001)
            continue
        if not data:
            # The host is gone, and with it all reason to be.
            os._exit(0)
        return data


def _read_event():
    """Waits for the next event: its header parsed, its payload as bytes."""
    data = _read(READ_BYTES)
    while len(data) < 4:
        data += _read(READ_BYTES)
    total = 4 + int.from_bytes(data[:4], "little")
    if len(data) < total:
        pieces = [data]
        have = len(data)
        while have < total:
            pieces.append(_read(total - have))
            have += len(pieces[-1])
        data = b"".join(pieces)
    header_end = 9 + int.from_bytes(data[5:9], "little")
    return json.loads(data[9:header_end]), data[header_end:total]


# ---- JSON


def _unknown(value):
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        exponent = value.as_tuple().exponent
        # Whole numbers stay whole; a huge exponent is not written out.
        if isinstance(exponent, int) and 0 <= exponent < 400:
            return int(value)
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# Lambda leaves characters as they are from 3.12 on and escapes them before.
_encode = json.JSONEncoder(default=_unknown, ensure_ascii=sys.version_info < (3, 12)).encode


# ---- errors


class Fault(Exception):
    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = f"Runtime.{kind}"
        self.message = message
        self.trace = list(trace)


def _error_object(message, kind, trace, request_id=None):
    return {
        "errorMessage": message or "",
        "errorType": kind or "",
        "requestId": request_id or "",
        "stackTrace": trace or [],
    }


def _describe(error, request_id=None):
    if isinstance(error, Fault):
        return _error_object(error.message, error.kind, error.trace, request_id)
    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    while len(frames) > 1 and frames[0][0] == __file__:
        frames.pop(0)
    try:
        message = str(error)
    except Exception:
        message = ""
    return _error_object(message, type(error).__name__, traceback.format_list(frames), request_id)


def _error_bytes(error):
    return _encode(error).encode("utf-8", "backslashreplace")


def _log_error(error):
    if IS_JSON:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _send_log(_encode({"timestamp": stamp, "level": "ERROR", **error}))
        return
    head = "[ERROR]"
    if error["errorType"]:
        head += " " + error["errorType"]
    if error["errorMessage"]:
        head += (": " if error["errorType"] else " ") + error["errorMessage"]
    lines = [head, "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append(INDENT * (len(line) - len(text)) + text)
    _send_log("\n".join(lines))


# ---- logging


class _AddRequestId(logging.Filter):
    def filter(self, record):
        record.aws_request_id = _request_id or ""
        return True


class _FrameHandler(logging.Handler):
    def emit(self, record):
        try:
            message = self.format(record)
            _send_log(message[:-1] if message.endswith("\n") else message)
        except Exception:
            self.handleError(record)


_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"aws_request_id", "message", "asctime", "taskName"}


class _JsonFormatter(logging.Formatter):
    def format(self, record):
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "timestamp": f"{seconds}.{int(record.created * 1000) % 1000:03d}Z",
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, value, trace = record.exc_info
            line["stackTrace"] = traceback.format_tb(trace)
            line["errorType"] = kind.__name__
            line["errorMessage"] = str(value)
            line["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        line["requestId"] = getattr(record, "aws_request_id", "")
        for key, value in vars(record).items():
            if key not in _STANDARD_FIELDS and key not in line and value is not None:
                line[key] = value
        return json.dumps(line, ensure_ascii=False, default=str)


def _set_up_logging():
    handler = _FrameHandler()
    if IS_JSON:
        handler.setFormatter(_JsonFormatter())
    else:
        logging.Formatter.converter = time.gmtime
        handler.setFormatter(
            logging.Formatter(
                "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
                "%Y-%m-%dT%H:%M:%S",
            )
        )
    handler.addFilter(_AddRequestId())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    if level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        root.setLevel(level)


# ---- context


class _Record:
    """An object with named fields, all None unless given."""

    _fields = ()

    def __init__(self, values):
        for field in self._fields:
            setattr(self, field, values.get(field))

    def __repr__(self):
        shown = ",".join(f"{field}={getattr(self, field)}" for field in self._fields)
        return f"{type(self).__name__}([{shown}])"


class CognitoIdentity(_Record):
    _fields = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Record):
    _fields = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Record):
    _fields = ("custom", "env", "client")


class LambdaContext(_Record):
    _fields = (
        "aws_request_id",
        "log_group_name",
        "log_stream_name",
        "function_name",
        "memory_limit_in_mb",
        "function_version",
        "invoked_function_arn",
        "client_context",
        "identity",
        "tenant_id",
    )

    def __init__(self, header):
        env = os.environ.get
        super().__init__(
            {
                "aws_request_id": header["requestId"],
                "log_group_name": env("AWS_LAMBDA_LOG_GROUP_NAME"),
                "log_stream_name": env("AWS_LAMBDA_LOG_STREAM_NAME"),
                "function_name": env("AWS_LAMBDA_FUNCTION_NAME"),
                "memory_limit_in_mb": env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
                "function_version": env("AWS_LAMBDA_FUNCTION_VERSION"),
                "invoked_function_arn": header["arn"],
                "client_context": _client_context(header.get("clientContext")),
                "identity": CognitoIdentity({}),
                "tenant_id": header.get("tenantId"),
            }
        )
        self._epoch_deadline_time_in_ms = header["deadlineMs"]

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, msg):
        sys.stdout.write(str(msg))


def _client_context(text):
    if not text:
        return None
    try:
        given = json.loads(text)
        context = ClientContext(given)
        context.client = Client(context.client) if context.client is not None else None
        return context
    except Exception as error:
        raise Fault("LambdaContextUnmarshalError", f"Unable to parse Client Context JSON: {error}") from None


# ---- loading


def _set_up_paths():
    # The first entry is this file's own folder, whose names are not the function's to import.
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    first = [
        os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd(),
        f"/opt/python/lib/{version}/site-packages",
        "/opt/python",
        "/var/runtime",
    ]
    sys.path[:] = first + [entry for entry in rest if entry not in first]


def _load_handler(handler):
    module_name, dot, function = handler.rpartition(".")
    if not dot:
        raise Fault(
            "MalformedHandlerName",
            f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)",
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module"
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault(
            "UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace
        ) from None
    try:
        return getattr(module, function)
    except AttributeError:
        raise Fault("HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'") from None


# ---- serving


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # The function may have closed or replaced it.


def _stream(pieces):
    """A handler that yields answers piece by piece: text, bytes, or values that become lines of JSON. Lambda's own Python
    runtime cannot, so that nothing depends on its refusal."""
    _send(b"B")
    for piece in pieces:
        if isinstance(piece, str):
            piece = piece.encode("utf-8")
        elif not isinstance(piece, (bytes, bytearray, memoryview)):
            piece = _encode(piece).encode("utf-8") + b"\n"
        piece = memoryview(piece)
        for start in range(0, len(piece), CHUNK_BYTES):
            _send(b"C", piece[start : start + CHUNK_BYTES])
    return b"S", b""


def _run(handler, header, payload):
    """The answer's type and body. What ends the interpreter, such as SystemExit, passes through."""
    try:
        context = LambdaContext(header)
        try:
            event = json.loads(payload)
        except Exception as error:
            raise Fault("UnmarshalError", f"Unable to unmarshal input: {error}") from None
        result = handler(event, context)
        if isinstance(result, bytes):
            return b"S", result
        if isinstance(result, types.GeneratorType):
            return _stream(result)
        try:
            return b"S", _encode(result).encode("utf-8")
        except Exception as error:
            raise Fault("MarshalError", f"Unable to marshal response: {error}") from None
    except Exception as error:
        described = _describe(error, header["requestId"])
        _log_error(described)
        return b"F", _error_bytes(described)


# ---- the trace of the event under way, for those who look into the environment


class Trace:
    """setenv keeps every value that it is ever given, 150 bytes an event: after the first few the variable's place is
    written to instead. Finding that takes ctypes, which takes a millisecond to load."""

    NAME = "_X_AMZN_TRACE_ID"
    FEW = 100
    BYTES_MAX = 512

    def __init__(self):
        self.told = 0
        self.variable = None
        self.putenv = None

    def tell(self, text):
        environ = os.environ
        if not text:
            environ.pop(self.NAME, None)
            return
        self.told += 1
        value = text.encode("utf-8", "replace")
        known = getattr(environ, "_data", None)
        # Functions may put something else into its place.
        if self.told <= self.FEW or len(value) > self.BYTES_MAX or known is None:
            environ[self.NAME] = text
            return
        if self.variable is None:
            self.prepare()
        self.variable.value = self.NAME.encode() + b"=" + value
        self.putenv(self.variable)
        known[environ.encodekey(self.NAME)] = value

    def prepare(self):
        import ctypes

        self.putenv = ctypes.PyDLL(None).putenv
        self.variable = ctypes.create_string_buffer(len(self.NAME) + 2 + self.BYTES_MAX)
        # The environment points to it for as long as the process lives.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.variable))
        self.told = self.FEW


_trace = Trace()


# ---- templates


# What the clone library is told of clones: they have nothing to do before their first event; their threads wait for it.
QUIET = 1
LATE = 2


def _park(is_loaded):
    """Parks this process as a template, and returns in each clone of it when it is wanted, with whether the host hears that
    it is ready; see the clone library."""
    import ctypes
    import gc

    library = ctypes.PyDLL("/var/runtime/clone.so")
    library.cumulet_park.restype = ctypes.c_char_p
    _trace.prepare()
    hooks = sys.modules.get("snapshot_restore_py")
    if hooks:
        for hook, args, kwargs in reversed(list(hooks.get_before_snapshot())):
            hook(*args, **kwargs)
    gc.collect()
    # What is frozen is not touched by later collections, and so stays shared between the clones.
    gc.freeze()
    is_quiet = is_loaded and SEATS == 1 and not (hooks and hooks.get_after_restore())
    why = library.cumulet_park(CHANNEL, LATE | (QUIET if is_quiet else 0))
    if why:
        raise RuntimeError(why.decode())
    _seed_anew()
    length = int.from_bytes(_read_exactly(4), "little")
    os.environ.update(json.loads(_read_exactly(length)[1:])["environment"])
    if hooks:
        for hook, args, kwargs in hooks.get_after_restore():
            hook(*args, **kwargs)
    return not is_quiet


def _preload():
    """Loads what the function's code will, as far as it is not the function's own."""
    task_root = os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd()
    for name in ("ssl", "urllib.request", "datetime", "decimal", "uuid"):
        importlib.import_module(name)
    is_own = any(os.path.exists(os.path.join(task_root, name)) for name in ("boto3", "botocore"))
    if is_own or not _mentions(task_root, "boto3"):
        return
    try:
        importlib.import_module("boto3")
    except ImportError:
        pass  # It is not installed; whoever needs it will be told.


def _mentions(folder, name):
    for entry in os.scandir(folder):
        if entry.is_file() and entry.name.endswith(".py"):
            with open(entry.path, "rb") as file:
                if name.encode() in file.read():
                    return True
    return False


def _seed_anew():
    """Generators that were seeded before the clones were parted; the kernel's own need nothing."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _read_exactly(count):
    pieces = b""
    while len(pieces) < count:
        piece = os.read(CHANNEL, count - len(pieces))
        if not piece:
            os._exit(0)
        pieces += piece
    return pieces


# ---- several events at a time


def _part():
    """Makes a process for each seat, as Lambda's managed instances do for Python, and returns in those. Here it waits for
    the first that ends, and ends as it did: the host takes the instance for what it is, one."""
    global _is_child
    import socket

    with socket.socket(fileno=os.dup(CHANNEL)) as channel:
        frame, seats, _, _ = socket.recv_fds(channel, 5, SEATS)
    if frame[4:] != b"T":
        os._exit(1)
    for seat in seats:
        if os.fork() == 0:
            _is_child = False
            _sever(set(seats))
            os.dup2(seat, CHANNEL, inheritable=False)
            for other in seats:
                os.close(other)
            _seed_anew()
            return
    for seat in seats:
        os.close(seat)
    _, status = os.wait()
    if os.WIFSIGNALED(status):
        # The first process of its namespace cannot end by a signal of its own; shells tell it so, too.
        os._exit(128 + os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _sever(kept):
    """Connections that were open already would be shared between the processes: each finds them ended by their peer."""
    import socket
    import stat

    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            is_shared = number > CHANNEL and number not in kept and stat.S_ISSOCK(os.fstat(number).st_mode)
        except OSError:
            continue
        if is_shared:
            one, other = socket.socketpair()
            os.dup2(one.fileno(), number, inheritable=False)
            one.close()
            other.close()


def _load():
    try:
        return _load_handler(os.environ.get("_HANDLER", ""))
    except Exception as error:
        described = _describe(error)
        _log_error(described)
        _flush()
        _send(b"I", _error_bytes(described))
        sys.exit(1)


def main():
    global _request_id
    # `initialised`: with the handler loaded; `booted`: without.
    template = os.environ.pop("CUMULET_TEMPLATE", "")
    os.set_inheritable(CHANNEL, False)
    for stream in (sys.stdout, sys.stderr):
        # A line printed is out at once, so that a function that never answers still tells what it did.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    _set_up_logging()
    _set_up_paths()
    handler = None if template == "booted" else _load()
    _flush()
    is_told = True
    if template:
        try:
            if template == "booted":
                _preload()
            is_told = _park(handler is not None)
        except Exception as error:
            _send(b"I", _error_bytes(_describe(error)))
            os._exit(1)
    if handler is None:
        handler = _load()
        _flush()
    if is_told:
        _send(b"R")
    if SEATS > 1:
        _part()
    while True:
        header, payload = _read_event()
        _request_id = header["requestId"]
        _trace.tell(header.get("trace"))
        kind, body = _run(handler, header, payload)
        if _is_child:
            # The function forked and let its child return into here.
            os._exit(0)
        _flush()
        _send(kind, body)


main()
