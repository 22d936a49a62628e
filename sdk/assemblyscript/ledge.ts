// The SDK of Ledge plugins in AssemblyScript, one file. Build with
//   asc plugin.ts -O3 --runtime stub --use abort=ledge/abort -o plugin.wasm
// A plugin exports a hook of signature () -> i32: read the request with input(), answer with output() and return 0, or
// report with fail(), which returns 1.

@external("extism:host/env", "input_length") declare function input_length(): u64;
@external("extism:host/env", "length") declare function block_length(block: u64): u64;
@external("extism:host/env", "free") declare function block_free(block: u64): void;
@external("extism:host/env", "config_get") declare function config_get(key: u64): u64;
@external("extism:host/env", "log_debug") declare function log_debug(block: u64): void;
@external("extism:host/env", "log_info") declare function log_info(block: u64): void;
@external("extism:host/env", "log_warn") declare function log_warn(block: u64): void;
@external("extism:host/env", "log_error") declare function log_error(block: u64): void;
@external("ledge:host/bulk", "input_read") declare function input_read(at: u64, to: usize, n: usize): u32;
@external("ledge:host/bulk", "output_write") declare function output_write(from: usize, n: usize): void;
@external("ledge:host/bulk", "error_write") declare function error_write(from: usize, n: usize): void;
@external("ledge:host/bulk", "block_new") declare function block_new(from: usize, n: usize): u64;
@external("ledge:host/bulk", "block_read") declare function block_read(block: u64, to: usize, n: usize): void;
// A plugin that calls these asks for the capability: capabilities: [kv, slm, search] in plugin.yaml.
@external("extism:host/user", "ledge_kv_get") declare function ledge_kv_get(key: u64): u64;
@external("extism:host/user", "ledge_kv_set") declare function ledge_kv_set(key: u64, value: u64, ttl: u64): u64;
@external("extism:host/user", "ledge_kv_cas") declare function ledge_kv_cas(key: u64, old: u64, value: u64, ttl: u64): u64;
@external("extism:host/user", "ledge_slm_complete") declare function ledge_slm_complete(request: u64): u64;
@external("extism:host/user", "ledge_slm_embed") declare function ledge_slm_embed(request: u64): u64;
@external("extism:host/user", "ledge_search_query") declare function ledge_search_query(request: u64): u64;
@external("extism:host/user", "ledge_kv_delete") declare function ledge_kv_delete(key: u64): u64;

function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}

function newBlock(text: string): u64 {
  const b = utf8(text);
  return block_new(changetype<usize>(b), b.byteLength);
}

function take(block: u64): string | null {
  if (block == 0) return null;
  const b = new ArrayBuffer(i32(block_length(block)));
  block_read(block, changetype<usize>(b), b.byteLength);
  block_free(block);
  return String.UTF8.decode(b);
}

/** The call's input. */
export function input(): string {
  const b = new ArrayBuffer(i32(input_length()));
  const n = input_read(0, changetype<usize>(b), b.byteLength);
  return String.UTF8.decodeUnsafe(changetype<usize>(b), n);
}

export function output(text: string): i32 {
  const b = utf8(text);
  output_write(changetype<usize>(b), b.byteLength);
  return 0;
}

export function fail(message: string): i32 {
  const b = utf8(message);
  error_write(changetype<usize>(b), b.byteLength);
  return 1;
}

/** What asc calls when an assertion fails: --use abort=ledge/abort. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  fail((message ? message : "aborted") + " in " + (file ? file : "") + ":" + line.toString() + ":" + column.toString());
  unreachable();
}

/** A value of the plugin's configuration, or null. */
export function config(key: string): string | null {
  const k = newBlock(key);
  const v = take(config_get(k));
  block_free(k);
  return v;
}

export enum Level { Debug, Info, Warn, Error }

/** Writes a line to the host's log, which frees the block. Do not log the text of requests. */
export function log(level: Level, line: string): void {
  const block = newBlock(line);
  if (block == 0) return;
  if (level == Level.Debug) log_debug(block);
  else if (level == Level.Warn) log_warn(block);
  else if (level == Level.Error) log_error(block);
  else log_info(block);
}

export function kvGet(key: string): string | null {
  const k = newBlock(key);
  const v = take(ledge_kv_get(k));
  block_free(k);
  return v;
}

/** Stores a value for ttl seconds, 0 for good: 0, or 1 quota used up, 2 too large, 3 failed. */
export function kvSet(key: string, value: string, ttl: u64 = 0): i32 {
  const k = newBlock(key), v = newBlock(value);
  const status = i32(ledge_kv_set(k, v, ttl));
  block_free(k);
  block_free(v);
  return status;
}

/** Does so if old, empty for none, is what is stored now; else 4. */
export function kvCompareAndSet(key: string, old: string, value: string, ttl: u64 = 0): i32 {
  const k = newBlock(key), o = newBlock(old), v = newBlock(value);
  const status = i32(ledge_kv_cas(k, o, v, ttl));
  block_free(k);
  block_free(o);
  block_free(v);
  return status;
}

/** Asks a model on the device, JSON in and out: {"messages":[{"role","content"}]} or {"prompt"} to {"text"} or {"error"}. */
export function slmComplete(request: string): string {
  const r = newBlock(request);
  const answer = take(ledge_slm_complete(r));
  block_free(r);
  return answer ? answer : "";
}

/** {"input":["..."]} to {"embeddings":[[...]]} or {"error"}. */
export function slmEmbed(request: string): string {
  const r = newBlock(request);
  const answer = take(ledge_slm_embed(r));
  block_free(r);
  return answer ? answer : "";
}

/** {"query","k"} to {"hits":[{"document","start","end","score","text"}]} or {"error"}. */
export function search(request: string): string {
  const r = newBlock(request);
  const answer = take(ledge_search_query(r));
  block_free(r);
  return answer ? answer : "";
}

export function kvDelete(key: string): i32 {
  const k = newBlock(key);
  const status = i32(ledge_kv_delete(k));
  block_free(k);
  return status;
}

function isSpace(c: i32): bool {
  return c == 32 || c == 10 || c == 9 || c == 13;
}

function space(s: string, i: i32): i32 {
  while (i < s.length && isSpace(s.charCodeAt(i))) i++;
  return i;
}

function stringEnd(s: string, i: i32): i32 {
  while (i < s.length && s.charCodeAt(i) != 34) i += s.charCodeAt(i) == 92 ? 2 : 1;
  return i;
}

/** The raw value of a member of the outermost object, or null. */
export function jsonMember(json: string, key: string): string | null {
  let i = space(json, 0);
  if (i >= json.length || json.charCodeAt(i) != 123) return null;
  i++;
  while (true) {
    i = space(json, i);
    if (i >= json.length || json.charCodeAt(i) != 34) return null;
    const end = stringEnd(json, i + 1);
    const name = json.substring(i + 1, end);
    i = space(json, end + 1);
    if (i >= json.length || json.charCodeAt(i) != 58) return null;
    const from = space(json, i + 1);
    let depth = 0;
    for (i = from; i < json.length; i++) {
      const c = json.charCodeAt(i);
      if (c == 34) i = stringEnd(json, i + 1);
      else if (c == 123 || c == 91) depth++;
      else if (c == 125 || c == 93) {
        if (depth == 0) break;
        depth--;
      } else if (c == 44 && depth == 0) break;
    }
    if (name == key) return json.substring(from, i).trimEnd();
    if (i >= json.length || json.charCodeAt(i) != 44) return null;
    i++;
  }
}

/** Decodes a raw JSON string, or null for any other value. */
export function jsonString(raw: string | null): string | null {
  if (!raw || raw.length < 2 || raw.charCodeAt(0) != 34) return null;
  let out = "";
  let plain = 1; // start of what needs no decoding
  for (let i = 1; i < raw.length - 1; i++) {
    if (raw.charCodeAt(i) != 92) continue;
    out += raw.substring(plain, i);
    i++;
    const c = raw.charCodeAt(i);
    if (c == 110) out += "\n";
    else if (c == 116) out += "\t";
    else if (c == 114) out += "\r";
    else if (c == 98) out += "\b";
    else if (c == 102) out += "\f";
    else if (c == 117) {
      out += String.fromCharCode(i32(parseInt(raw.substring(i + 1, i + 5), 16))); // UTF-16, so pairs come out right
      i += 4;
    } else out += String.fromCharCode(c);
    plain = i + 1;
  }
  return out + raw.substring(plain, raw.length - 1);
}

/** Encodes text as a JSON string. */
export function jsonQuote(text: string): string {
  let out = "\"";
  let plain = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c != 34 && c != 92 && c >= 32) continue;
    out += text.substring(plain, i);
    out += c == 34 ? "\\\"" : c == 92 ? "\\\\" : "\\u00" + (c >> 4).toString(16) + (c & 15).toString(16);
    plain = i + 1;
  }
  return out + text.substring(plain) + "\"";
}
