// The SDK of Ledge plugins in C, one header without a C library. Build with
//   clang --target=wasm32 -O2 -mbulk-memory -nostdlib -Wl,--no-entry -o plugin.wasm plugin.c
// A plugin exports a hook of signature () -> i32: read the request with ledge_input, answer with ledge_output and
// return 0, or report with ledge_error and return 1. Memory from ledge_alloc lasts until the call ends: the host gives
// every call fresh state.
#ifndef LEDGE_H
#define LEDGE_H
#include <stddef.h>
#include <stdint.h>

#define LEDGE_EXPORT(name) __attribute__((export_name(name)))
#define LEDGE_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

// A piece of text, not ended by a zero.
typedef struct { const char *p; size_t n; } ledge_text;
#define LEDGE_TEXT(literal) ((ledge_text){literal, sizeof(literal) - 1})

enum { LEDGE_TRACE, LEDGE_DEBUG, LEDGE_INFO, LEDGE_WARN, LEDGE_ERROR };

LEDGE_IMPORT("extism:host/env", "input_length") uint64_t ledge__input_length(void);
LEDGE_IMPORT("extism:host/env", "length") uint64_t ledge__length(uint64_t block);
LEDGE_IMPORT("extism:host/env", "free") void ledge__free(uint64_t block);
LEDGE_IMPORT("extism:host/env", "config_get") uint64_t ledge__config_get(uint64_t key);
LEDGE_IMPORT("extism:host/env", "log_trace") void ledge__log_trace(uint64_t block);
LEDGE_IMPORT("extism:host/env", "log_debug") void ledge__log_debug(uint64_t block);
LEDGE_IMPORT("extism:host/env", "log_info") void ledge__log_info(uint64_t block);
LEDGE_IMPORT("extism:host/env", "log_warn") void ledge__log_warn(uint64_t block);
LEDGE_IMPORT("extism:host/env", "log_error") void ledge__log_error(uint64_t block);
LEDGE_IMPORT("ledge:host/bulk", "input_read") uint32_t ledge__input_read(uint64_t at, void *to, size_t n);
LEDGE_IMPORT("ledge:host/bulk", "output_write") void ledge__output_write(const void *from, size_t n);
LEDGE_IMPORT("ledge:host/bulk", "error_write") void ledge__error_write(const void *from, size_t n);
LEDGE_IMPORT("ledge:host/bulk", "block_new") uint64_t ledge__block_new(const void *from, size_t n);
LEDGE_IMPORT("ledge:host/bulk", "block_read") void ledge__block_read(uint64_t block, void *to, size_t n);
#ifdef LEDGE_KV // a plugin that imports these asks for the capability: capabilities: [kv] in plugin.yaml
LEDGE_IMPORT("extism:host/user", "ledge_kv_get") uint64_t ledge__kv_get(uint64_t key);
LEDGE_IMPORT("extism:host/user", "ledge_kv_set") uint64_t ledge__kv_set(uint64_t key, uint64_t value, uint64_t ttl);
LEDGE_IMPORT("extism:host/user", "ledge_kv_cas") uint64_t ledge__kv_cas(uint64_t key, uint64_t old, uint64_t value, uint64_t ttl);
LEDGE_IMPORT("extism:host/user", "ledge_kv_delete") uint64_t ledge__kv_delete(uint64_t key);
#endif
#ifdef LEDGE_SLM // capabilities: [slm]
LEDGE_IMPORT("extism:host/user", "ledge_slm_complete") uint64_t ledge__slm_complete(uint64_t request);
LEDGE_IMPORT("extism:host/user", "ledge_slm_embed") uint64_t ledge__slm_embed(uint64_t request);
#endif
#ifdef LEDGE_SEARCH // capabilities: [search]
LEDGE_IMPORT("extism:host/user", "ledge_search_query") uint64_t ledge__search_query(uint64_t request);
#endif

// ledge_alloc gives n bytes, or traps where the plugin's memory limit is reached.
static void *ledge_alloc(size_t n) {
  extern unsigned char __heap_base;
  static uintptr_t next;
  if (!next) next = (uintptr_t)&__heap_base;
  uintptr_t at = (next + 15) & ~(uintptr_t)15;
  uintptr_t end = at + n;
  uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
  if (end < at) __builtin_trap();
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 0xffff) >> 16) == (size_t)-1) __builtin_trap();
  next = end;
  return (void *)at;
}

static ledge_text ledge_input(void) {
  size_t n = (size_t)ledge__input_length();
  char *p = ledge_alloc(n);
  return (ledge_text){p, ledge__input_read(0, p, n)};
}

static void ledge_output(ledge_text t) { ledge__output_write(t.p, t.n); }
static void ledge_error(ledge_text t) { ledge__error_write(t.p, t.n); }

static void ledge_log(int level, ledge_text t) {
  uint64_t block = ledge__block_new(t.p, t.n);
  if (!block) return;
  switch (level) { // the host frees the block
  case LEDGE_TRACE: ledge__log_trace(block); break;
  case LEDGE_DEBUG: ledge__log_debug(block); break;
  case LEDGE_WARN: ledge__log_warn(block); break;
  case LEDGE_ERROR: ledge__log_error(block); break;
  default: ledge__log_info(block);
  }
}

static int ledge__take(uint64_t block, ledge_text *out) {
  if (!block) return 0;
  size_t n = (size_t)ledge__length(block);
  char *p = ledge_alloc(n);
  ledge__block_read(block, p, n);
  ledge__free(block);
  *out = (ledge_text){p, n};
  return 1;
}

// ledge_config reads a value of the plugin's configuration and says whether there is one.
static int ledge_config(ledge_text key, ledge_text *out) {
  uint64_t k = ledge__block_new(key.p, key.n);
  int found = ledge__take(ledge__config_get(k), out);
  ledge__free(k);
  return found;
}

#ifdef LEDGE_KV
static int ledge_kv_get(ledge_text key, ledge_text *out) {
  uint64_t k = ledge__block_new(key.p, key.n);
  int found = ledge__take(ledge__kv_get(k), out);
  ledge__free(k);
  return found;
}

// ledge_kv_set stores a value for ttl seconds, 0 for good: 0, or 1 quota used up, 2 too large, 3 failed.
static int ledge_kv_set(ledge_text key, ledge_text value, uint64_t ttl) {
  uint64_t k = ledge__block_new(key.p, key.n), v = ledge__block_new(value.p, value.n);
  int status = (int)ledge__kv_set(k, v, ttl);
  ledge__free(k);
  ledge__free(v);
  return status;
}

// ledge_kv_cas does so if old, empty for none, is what is stored now; else it returns 4.
static int ledge_kv_cas(ledge_text key, ledge_text old, ledge_text value, uint64_t ttl) {
  uint64_t k = ledge__block_new(key.p, key.n), o = ledge__block_new(old.p, old.n), v = ledge__block_new(value.p, value.n);
  int status = (int)ledge__kv_cas(k, o, v, ttl);
  ledge__free(k);
  ledge__free(o);
  ledge__free(v);
  return status;
}

static int ledge_kv_delete(ledge_text key) {
  uint64_t k = ledge__block_new(key.p, key.n);
  int status = (int)ledge__kv_delete(k);
  ledge__free(k);
  return status;
}
#endif

#if defined(LEDGE_SLM) || defined(LEDGE_SEARCH)
static ledge_text ledge__ask(uint64_t (*f)(uint64_t), ledge_text request) {
  uint64_t r = ledge__block_new(request.p, request.n);
  ledge_text out = {0, 0};
  ledge__take(f(r), &out);
  ledge__free(r);
  return out;
}
#endif

#ifdef LEDGE_SLM
// ledge_slm_complete asks a model on the device, JSON in and out: {"messages":[{"role","content"}],"max_tokens"} or
// {"prompt"} to {"text"} or {"error"}.
static ledge_text ledge_slm_complete(ledge_text request) { return ledge__ask(ledge__slm_complete, request); }

// ledge_slm_embed: {"input":["..."]} to {"embeddings":[[...]]} or {"error"}.
static ledge_text ledge_slm_embed(ledge_text request) { return ledge__ask(ledge__slm_embed, request); }
#endif

#ifdef LEDGE_SEARCH
// ledge_search: {"query","k"} to {"hits":[{"document","start","end","score","text"}]} or {"error"}.
static ledge_text ledge_search(ledge_text request) { return ledge__ask(ledge__search_query, request); }
#endif

static int ledge_equal(ledge_text a, ledge_text b) { return a.n == b.n && !__builtin_memcmp(a.p, b.p, a.n); }

static int ledge_contains(ledge_text text, ledge_text word) {
  for (size_t i = 0; i + word.n <= text.n; i++) {
    size_t j = 0;
    while (j < word.n && text.p[i + j] == word.p[j]) j++;
    if (j == word.n) return 1;
  }
  return 0;
}

// JSON: finds a member of the outermost object, and reads strings. The input is the host's and well formed; anything
// else reads as absent.

static size_t ledge__string_end(ledge_text j, size_t i) { // i: after the opening quote; returns where the closing one is
  while (i < j.n && j.p[i] != '"') i += j.p[i] == '\\' ? 2 : 1;
  return i;
}

// ledge_json_member gives the raw value of a member.
static int ledge_json_member(ledge_text j, ledge_text key, ledge_text *out) {
  int depth = 0, named = 0;
  for (size_t i = 0; i < j.n; i++) {
    char c = j.p[i];
    if (c == '"') {
      size_t start = i + 1, end = ledge__string_end(j, start);
      i = end;
      if (depth == 1 && !named && end < j.n && ledge_equal((ledge_text){j.p + start, end - start}, key)) {
        size_t k = end + 1;
        while (k < j.n && (j.p[k] == ' ' || j.p[k] == '\n' || j.p[k] == '\t' || j.p[k] == '\r')) k++;
        if (k >= j.n || j.p[k] != ':') continue;
        k++;
        while (k < j.n && (j.p[k] == ' ' || j.p[k] == '\n' || j.p[k] == '\t' || j.p[k] == '\r')) k++;
        size_t from = k;
        for (int d = 0; k < j.n; k++) {
          char v = j.p[k];
          if (v == '"') {
            k = ledge__string_end(j, k + 1);
          } else if (v == '{' || v == '[') {
            d++;
          } else if (v == '}' || v == ']') {
            if (d == 0) break;
            d--;
          } else if (v == ',' && d == 0) {
            break;
          }
        }
        if (k > j.n) return 0;
        *out = (ledge_text){j.p + from, k - from};
        return 1;
      }
    } else if (c == '{' || c == '[') {
      depth++;
    } else if (c == '}' || c == ']') {
      depth--;
    } else if (depth == 1 && (c == ':' || c == ',')) {
      named = c == ':';
    }
  }
  return 0;
}

static int ledge__hex4(ledge_text j, size_t i, uint32_t *v) {
  if (i + 4 > j.n) return 0;
  *v = 0;
  for (size_t k = i; k < i + 4; k++) {
    char c = j.p[k];
    uint32_t d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
    if (d > 15) return 0;
    *v = *v << 4 | d;
  }
  return 1;
}

// ledge_json_string decodes a raw value that is a string.
static int ledge_json_string(ledge_text raw, ledge_text *out) {
  if (raw.n < 2 || raw.p[0] != '"') return 0;
  char *p = ledge_alloc(raw.n);
  size_t n = 0;
  for (size_t i = 1; i < raw.n && raw.p[i] != '"'; i++) {
    if (raw.p[i] != '\\') {
      p[n++] = raw.p[i];
      continue;
    }
    if (++i >= raw.n) return 0;
    uint32_t u, low;
    switch (raw.p[i]) {
    case 'n': p[n++] = '\n'; break;
    case 't': p[n++] = '\t'; break;
    case 'r': p[n++] = '\r'; break;
    case 'b': p[n++] = '\b'; break;
    case 'f': p[n++] = '\f'; break;
    case 'u':
      if (!ledge__hex4(raw, i + 1, &u)) return 0;
      i += 4;
      if (u >= 0xd800 && u < 0xdc00 && i + 6 < raw.n && raw.p[i + 1] == '\\' && raw.p[i + 2] == 'u' &&
          ledge__hex4(raw, i + 3, &low) && low >= 0xdc00 && low < 0xe000) {
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      } else if (u >= 0xd800 && u < 0xe000) {
        u = 0xfffd;
      }
      if (u < 0x80) {
        p[n++] = (char)u;
      } else if (u < 0x800) {
        p[n++] = (char)(0xc0 | u >> 6), p[n++] = (char)(0x80 | (u & 63));
      } else if (u < 0x10000) {
        p[n++] = (char)(0xe0 | u >> 12), p[n++] = (char)(0x80 | (u >> 6 & 63)), p[n++] = (char)(0x80 | (u & 63));
      } else {
        p[n++] = (char)(0xf0 | u >> 18), p[n++] = (char)(0x80 | (u >> 12 & 63));
        p[n++] = (char)(0x80 | (u >> 6 & 63)), p[n++] = (char)(0x80 | (u & 63));
      }
      break;
    default: p[n++] = raw.p[i];
    }
  }
  *out = (ledge_text){p, n};
  return 1;
}

// A text that grows.
typedef struct { char *p; size_t n, cap; } ledge_builder;

static void ledge_add(ledge_builder *b, ledge_text t) {
  if (b->n + t.n > b->cap) {
    size_t cap = 2 * (b->n + t.n) + 64;
    char *p = ledge_alloc(cap);
    __builtin_memcpy(p, b->p, b->n);
    b->p = p, b->cap = cap;
  }
  __builtin_memcpy(b->p + b->n, t.p, t.n);
  b->n += t.n;
}

// ledge_add_string adds t as a JSON string.
static void ledge_add_string(ledge_builder *b, ledge_text t) {
  static const char hex[] = "0123456789abcdef";
  ledge_add(b, LEDGE_TEXT("\""));
  for (size_t i = 0; i < t.n; i++) {
    unsigned char c = (unsigned char)t.p[i];
    if (c == '"' || c == '\\') {
      char e[2] = {'\\', (char)c};
      ledge_add(b, (ledge_text){e, 2});
    } else if (c < 0x20) {
      char e[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
      ledge_add(b, (ledge_text){e, 6});
    } else {
      ledge_add(b, (ledge_text){t.p + i, 1});
    }
  }
  ledge_add(b, LEDGE_TEXT("\""));
}

static ledge_text ledge_built(const ledge_builder *b) { return (ledge_text){b->p, b->n}; }

#endif
