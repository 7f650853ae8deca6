/* The Node.js host's end of the frames of docs/formats/frames.md, on descriptor 3. Node's own file system calls would do it,
 * and take about as long; but they write to dozens of pages of the engine's, of which a clone has to take copies, where this
 * writes to a few. Everything here is called from the one thread that serves. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "napi.h"

#define CHANNEL 3
#define LENGTH_BYTES 4
/* Of a frame: its length and its type. */
#define HEAD_BYTES 5
#define STAMP_BYTES 8
/* Frames up to this long have a place of their own. */
#define HELD_BYTES (64u << 10)
#define TRACE "_X_AMZN_TRACE_ID="
#define TRACE_BYTES_MAX 512u

/* What has been read and not been taken yet: from `at` to `have`. */
static char held[HELD_BYTES];
static size_t at, have;
/* The frame that was taken last, without its length; it lies in `held` or, if it is long, in memory of its own. */
static char *frame = held, *long_frame;
static uint32_t frame_length;
/* While somebody rehearses, what is read is in `held`, and what is written goes nowhere. */
static int is_rehearsal;

/* Somebody may have made the descriptor non-blocking. */
static int may_go_on(short events) {
  if (errno == EINTR) return 1;
  if (errno != EAGAIN) return 0;
  struct pollfd waits = {.fd = CHANNEL, .events = events};
  return poll(&waits, 1, -1) >= 0 || errno == EINTR;
}

/* At least one byte more; 0 when the host is gone. */
static size_t read_some(char *into, size_t room) {
  if (is_rehearsal) return 0;
  for (;;) {
    ssize_t count = read(CHANNEL, into, room);
    if (count > 0) return (size_t)count;
    if (count == 0 || !may_go_on(POLLIN)) return 0;
  }
}

/* Holds `length` bytes from `at` on. */
static int hold(size_t length) {
  if (at == have) at = have = 0;
  if (at + length > HELD_BYTES) {
    memmove(held, held + at, have - at);
    have -= at;
    at = 0;
  }
  while (have - at < length) {
    size_t count = read_some(held + have, HELD_BYTES - have);
    if (count == 0) return 0;
    have += count;
  }
  return 1;
}

/* Waits for the next frame. */
static int take_frame(void) {
  free(long_frame);
  long_frame = NULL;
  if (!hold(LENGTH_BYTES)) return 0;
  memcpy(&frame_length, held + at, LENGTH_BYTES);
  at += LENGTH_BYTES;
  if (frame_length <= HELD_BYTES) {
    if (!hold(frame_length)) return 0;
    frame = held + at;
    at += frame_length;
    return 1;
  }
  frame = long_frame = malloc(frame_length);
  if (!long_frame) return 0;
  size_t there = have - at;
  memcpy(frame, held + at, there);
  at = have;
  while (there < frame_length) {
    size_t count = read_some(frame + there, frame_length - there);
    if (count == 0) return 0;
    there += count;
  }
  return 1;
}

static int write_all(struct iovec *pieces, int count) {
  if (is_rehearsal) return 1;
  while (count > 0) {
    ssize_t sent = writev(CHANNEL, pieces, count);
    if (sent < 0 && !may_go_on(POLLOUT)) return 0;
    while (sent > 0) {
      size_t step = (size_t)sent < pieces->iov_len ? (size_t)sent : pieces->iov_len;
      pieces->iov_base = (char *)pieces->iov_base + step;
      pieces->iov_len -= step;
      sent -= (ssize_t)step;
      if (pieces->iov_len == 0) pieces++, count--;
    }
    while (count > 0 && pieces->iov_len == 0) pieces++, count--;
  }
  return 1;
}

/* A frame of a text, with a stamp before it where `stamp` is one. */
static int send_text(napi_env env, char type, const uint64_t *stamp, napi_value text) {
  size_t start = HEAD_BYTES + (stamp ? STAMP_BYTES : 0), length = 0;
  if (at == have) at = have = 0;
  /* Behind what is held, so that a clone has one page to copy and not two. */
  size_t room = HELD_BYTES - have;
  char *buffer = held + have, *own = NULL;
  int is_whole = 0;
  if (room > start) {
    napi_get_value_string_utf8(env, text, buffer + start, room - start, &length);
    /* Full but for less than a character: there may be more. */
    is_whole = start + length + 4 < room;
  }
  if (!is_whole) {
    napi_get_value_string_utf8(env, text, NULL, 0, &length);
    buffer = own = malloc(start + length + 1);
    if (!own) return 0;
    napi_get_value_string_utf8(env, text, own + start, length + 1, &length);
  }
  uint32_t total = (uint32_t)(start - LENGTH_BYTES + length);
  memcpy(buffer, &total, LENGTH_BYTES);
  buffer[LENGTH_BYTES] = type;
  if (stamp) memcpy(buffer + HEAD_BYTES, stamp, STAMP_BYTES);
  struct iovec piece = {.iov_base = buffer, .iov_len = start + length};
  int is_sent = write_all(&piece, 1);
  free(own);
  return is_sent;
}

static napi_value flag(napi_env env, int value) {
  napi_value made = NULL;
  napi_create_int32(env, value, &made);
  return made;
}

static char type_of(napi_env env, napi_value value) {
  int32_t type = 0;
  napi_get_value_int32(env, value, &type);
  return (char)type;
}

/* What lies between two places of the frame, as a string. */
static napi_value part(napi_env env, size_t from, size_t until) {
  napi_value text = NULL;
  if (until > frame_length) until = frame_length;
  if (from <= until) napi_create_string_utf8(env, frame + from, until - from, &text);
  return text;
}

static size_t header_end(void) {
  uint32_t length = 0;
  if (frame_length >= HEAD_BYTES) memcpy(&length, frame + 1, LENGTH_BYTES);
  return HEAD_BYTES + (size_t)length;
}

/* event(): waits for one; its header. Nothing when the host is gone. */
static napi_value event(napi_env env, napi_callback_info info) {
  (void)info;
  return take_frame() ? part(env, HEAD_BYTES, header_end()) : NULL;
}

/* payload(): of that event. */
static napi_value payload(napi_env env, napi_callback_info info) {
  (void)info;
  return part(env, header_end(), frame_length);
}

/* body(): waits for a frame that is no event; what it says. Nothing when the host is gone. */
static napi_value body(napi_env env, napi_callback_info info) {
  (void)info;
  return take_frame() ? part(env, 1, frame_length) : NULL;
}

/* send(type, text): whether the host is there. */
static napi_value send_frame(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  return flag(env, send_text(env, type_of(env, arguments[0]), NULL, arguments[1]));
}

/* log(milliseconds since 1970, text): the same. */
static napi_value log_frame(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int64_t stamp = 0;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_int64(env, arguments[0], &stamp);
  uint64_t milliseconds = (uint64_t)stamp;
  return flag(env, send_text(env, 'L', &milliseconds, arguments[1]));
}

/* bytes(type, buffer): the same. */
static napi_value bytes_frame(napi_env env, napi_callback_info info) {
  size_t count = 2, length = 0;
  napi_value arguments[2];
  void *bytes = NULL;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_buffer_info(env, arguments[1], &bytes, &length);
  char head[HEAD_BYTES];
  uint32_t total = (uint32_t)(1 + length);
  memcpy(head, &total, LENGTH_BYTES);
  head[LENGTH_BYTES] = type_of(env, arguments[0]);
  struct iovec pieces[] = {{.iov_base = head, .iov_len = sizeof head}, {.iov_base = bytes, .iov_len = length}};
  return flag(env, write_all(pieces, 2));
}

/* rehearse(buffer): until it is called again, with an empty one, what is read is in there. */
static napi_value rehearse(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument;
  void *bytes = NULL;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_buffer_info(env, argument, &bytes, &length);
  is_rehearsal = length > 0 && length <= HELD_BYTES;
  at = have = 0;
  if (is_rehearsal) {
    memcpy(held, bytes, length);
    have = length;
  }
  return NULL;
}

/* trace(text): what the environment says of the event; whether there was room. setenv keeps every text it was ever given. */
static napi_value trace(napi_env env, napi_callback_info info) {
  static char variable[sizeof TRACE + TRACE_BYTES_MAX] = TRACE;
  size_t count = 1, length = 0;
  napi_value argument;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_string_utf8(env, argument, NULL, 0, &length);
  if (length > TRACE_BYTES_MAX) return flag(env, 0);
  napi_get_value_string_utf8(env, argument, variable + sizeof TRACE - 1, TRACE_BYTES_MAX + 1, &length);
  return flag(env, putenv(variable) == 0);
}

/* ---- turns of the event loop. setImmediate would do, but for what it writes to, and for its context, which is that of
 * the event before. */

enum { UV_CHECK = 2, UV_IDLE = 6 };
extern size_t WEAK uv_handle_size(int);
extern int WEAK uv_idle_init(void *, void *);
extern int WEAK uv_idle_start(void *, void (*)(void *));
extern int WEAK uv_idle_stop(void *);
extern int WEAK uv_check_init(void *, void *);
extern int WEAK uv_check_start(void *, void (*)(void *));
extern void WEAK uv_unref(void *);

static napi_env host;
static napi_ref callback;
static void *idle;
/* Whether the phase after input and output, when setImmediate's functions are called, has come since. */
static int has_turned;

static void on_check(void *handle) {
  (void)handle;
  has_turned = 1;
}

static void on_idle(void *handle) {
  napi_scope scope;
  napi_value global, function, error;
  _Bool has_failed = 0;
  if (!has_turned) return;
  uv_idle_stop(handle);
  napi_open_handle_scope(host, &scope);
  napi_get_global(host, &global);
  napi_get_reference_value(host, callback, &function);
  napi_make_callback(host, NULL, global, function, 0, NULL, NULL);
  napi_is_exception_pending(host, &has_failed);
  if (has_failed && !napi_get_and_clear_last_exception(host, &error)) napi_fatal_exception(host, error);
  napi_close_handle_scope(host, scope);
}

/* later(): calls the function when the event loop has gone round once. */
static napi_value later(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
  has_turned = 0;
  uv_idle_start(idle, on_idle);
  return NULL;
}

/* calls(function): which one that is. */
static napi_value calls(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  void *loop = NULL, *check = malloc(uv_handle_size(UV_CHECK));
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_create_reference(env, argument, 1, &callback);
  napi_get_uv_event_loop(env, &loop);
  host = env;
  idle = malloc(uv_handle_size(UV_IDLE));
  uv_idle_init(loop, idle);
  uv_check_init(loop, check);
  uv_check_start(check, on_check);
  uv_unref(check);
  return NULL;
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_export(env, exports, "event", event);
  napi_export(env, exports, "payload", payload);
  napi_export(env, exports, "body", body);
  napi_export(env, exports, "send", send_frame);
  napi_export(env, exports, "log", log_frame);
  napi_export(env, exports, "bytes", bytes_frame);
  napi_export(env, exports, "rehearse", rehearse);
  napi_export(env, exports, "trace", trace);
  napi_export(env, exports, "calls", calls);
  napi_export(env, exports, "later", later);
  return exports;
}
