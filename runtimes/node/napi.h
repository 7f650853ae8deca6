/* Node-API, as far as it is used here, so that no headers are needed. Absent symbols are null in other programs. */
#include <stddef.h>
#include <stdint.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef struct napi_ref__ *napi_ref;
typedef struct napi_handle_scope__ *napi_scope;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
/* What a string's length is where it ends in a zero. */
#define NAPI_AUTO_LENGTH ((size_t)-1)
#define WEAK __attribute__((weak))
extern int WEAK napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
extern int WEAK napi_get_value_int32(napi_env, napi_value, int32_t *);
extern int WEAK napi_get_value_int64(napi_env, napi_value, int64_t *);
extern int WEAK napi_get_value_string_utf8(napi_env, napi_value, char *, size_t, size_t *);
extern int WEAK napi_get_buffer_info(napi_env, napi_value, void **, size_t *);
extern int WEAK napi_create_int32(napi_env, int32_t, napi_value *);
extern int WEAK napi_create_array(napi_env, napi_value *);
extern int WEAK napi_set_element(napi_env, napi_value, uint32_t, napi_value);
extern int WEAK napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
extern int WEAK napi_create_string_utf8(napi_env, const char *, size_t, napi_value *);
extern int WEAK napi_create_reference(napi_env, napi_value, uint32_t, napi_ref *);
extern int WEAK napi_get_reference_value(napi_env, napi_ref, napi_value *);
extern int WEAK napi_open_handle_scope(napi_env, napi_scope *);
extern int WEAK napi_close_handle_scope(napi_env, napi_scope);
extern int WEAK napi_get_global(napi_env, napi_value *);
extern int WEAK napi_make_callback(napi_env, void *, napi_value, napi_value, size_t, const napi_value *, napi_value *);
extern int WEAK napi_is_exception_pending(napi_env, _Bool *);
extern int WEAK napi_get_and_clear_last_exception(napi_env, napi_value *);
extern int WEAK napi_fatal_exception(napi_env, napi_value);
extern int WEAK napi_get_uv_event_loop(napi_env, void **);
extern int WEAK napi_set_named_property(napi_env, napi_value, const char *, napi_value);

static inline void napi_export(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value made;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &made);
  napi_set_named_property(env, exports, name, made);
}
