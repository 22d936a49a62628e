//! The SDK of Ledge plugins in Rust, one file without dependencies. Build with
//!   rustc --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib -C opt-level=3 -C panic=abort -o plugin.wasm plugin.rs
//! A plugin exports a hook of signature () -> i32; [`handle`] reads the request, runs a function and writes its answer.
#![allow(dead_code)]

mod raw {
    #[link(wasm_import_module = "extism:host/env")]
    extern "C" {
        pub fn input_length() -> u64;
        pub fn length(block: u64) -> u64;
        pub fn free(block: u64);
        pub fn config_get(key: u64) -> u64;
        pub fn log_debug(block: u64);
        pub fn log_info(block: u64);
        pub fn log_warn(block: u64);
        pub fn log_error(block: u64);
    }
    #[link(wasm_import_module = "ledge:host/bulk")]
    extern "C" {
        pub fn input_read(at: u64, to: *mut u8, n: usize) -> u32;
        pub fn output_write(from: *const u8, n: usize);
        pub fn error_write(from: *const u8, n: usize);
        pub fn block_new(from: *const u8, n: usize) -> u64;
        pub fn block_read(block: u64, to: *mut u8, n: usize);
    }
    // A plugin that calls these asks for the capability: capabilities: [kv, slm, search] in plugin.yaml.
    #[link(wasm_import_module = "extism:host/user")]
    extern "C" {
        pub fn ledge_kv_get(key: u64) -> u64;
        pub fn ledge_kv_set(key: u64, value: u64, ttl_seconds: u64) -> u64;
        pub fn ledge_kv_cas(key: u64, old: u64, value: u64, ttl_seconds: u64) -> u64;
        pub fn ledge_kv_delete(key: u64) -> u64;
        pub fn ledge_slm_complete(request: u64) -> u64;
        pub fn ledge_slm_embed(request: u64) -> u64;
        pub fn ledge_search_query(request: u64) -> u64;
    }
}

/// A memory block of the host, freed when dropped.
struct Block(u64);

impl Block {
    fn new(bytes: &[u8]) -> Block {
        Block(unsafe { raw::block_new(bytes.as_ptr(), bytes.len()) })
    }

    fn read(&self) -> Option<Vec<u8>> {
        if self.0 == 0 {
            return None;
        }
        let mut bytes = vec![0; unsafe { raw::length(self.0) } as usize];
        unsafe { raw::block_read(self.0, bytes.as_mut_ptr(), bytes.len()) };
        Some(bytes)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.0 != 0 {
            unsafe { raw::free(self.0) }
        }
    }
}

/// The call's input.
pub fn input() -> Vec<u8> {
    let mut bytes = vec![0; unsafe { raw::input_length() } as usize];
    let n = unsafe { raw::input_read(0, bytes.as_mut_ptr(), bytes.len()) };
    bytes.truncate(n as usize);
    bytes
}

/// Runs a hook: its answer becomes the output, its error the call's.
pub fn handle<E: AsRef<str>>(f: impl FnOnce(&str) -> Result<String, E>) -> i32 {
    let bytes = input();
    let result = match std::str::from_utf8(&bytes) {
        Ok(text) => f(text).map_err(|e| e.as_ref().to_string()),
        Err(_) => Err("the request is not UTF-8".to_string()),
    };
    match result {
        Ok(out) => {
            unsafe { raw::output_write(out.as_ptr(), out.len()) };
            0
        }
        Err(message) => {
            unsafe { raw::error_write(message.as_ptr(), message.len()) };
            1
        }
    }
}

/// A value of the plugin's configuration.
pub fn config(key: &str) -> Option<String> {
    let key = Block::new(key.as_bytes());
    let value = Block(unsafe { raw::config_get(key.0) }).read()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes a line to the host's log. Do not log the text of requests.
pub fn log(level: Level, line: &str) {
    let block = Block::new(line.as_bytes());
    let offset = block.0;
    if offset == 0 {
        return;
    }
    std::mem::forget(block); // the host frees it
    unsafe {
        match level {
            Level::Debug => raw::log_debug(offset),
            Level::Info => raw::log_info(offset),
            Level::Warn => raw::log_warn(offset),
            Level::Error => raw::log_error(offset),
        }
    }
}

/// What the key-value store failed with.
#[derive(Debug, PartialEq)]
pub enum KvError {
    Quota,
    TooLarge,
    Failed,
}

pub fn kv_get(key: &str) -> Option<Vec<u8>> {
    let key = Block::new(key.as_bytes());
    Block(unsafe { raw::ledge_kv_get(key.0) }).read()
}

/// Stores a value for `ttl_seconds`, 0 for good.
pub fn kv_set(key: &str, value: &[u8], ttl_seconds: u64) -> Result<(), KvError> {
    let (key, value) = (Block::new(key.as_bytes()), Block::new(value));
    match unsafe { raw::ledge_kv_set(key.0, value.0, ttl_seconds) } {
        0 => Ok(()),
        1 => Err(KvError::Quota),
        2 => Err(KvError::TooLarge),
        _ => Err(KvError::Failed),
    }
}

/// Stores a value if `old`, empty for none, is what is stored now; says whether it was.
pub fn kv_compare_and_set(key: &str, old: &[u8], value: &[u8], ttl_seconds: u64) -> Result<bool, KvError> {
    let (key, old, value) = (Block::new(key.as_bytes()), Block::new(old), Block::new(value));
    match unsafe { raw::ledge_kv_cas(key.0, old.0, value.0, ttl_seconds) } {
        0 => Ok(true),
        1 => Err(KvError::Quota),
        2 => Err(KvError::TooLarge),
        4 => Ok(false),
        _ => Err(KvError::Failed),
    }
}

fn ask(f: unsafe extern "C" fn(u64) -> u64, request: &str) -> String {
    let request = Block::new(request.as_bytes());
    let answer = Block(unsafe { f(request.0) }).read().unwrap_or_default();
    String::from_utf8(answer).unwrap_or_default()
}

/// Asks a model on the device, JSON in and out: {"messages":[{"role","content"}],"max_tokens"} or {"prompt"} to {"text"}
/// or {"error"}.
pub fn slm_complete(request: &str) -> String {
    ask(raw::ledge_slm_complete, request)
}

/// {"input":["..."]} to {"embeddings":[[...]]} or {"error"}.
pub fn slm_embed(request: &str) -> String {
    ask(raw::ledge_slm_embed, request)
}

/// {"query","k"} to {"hits":[{"document","start","end","score","text"}]} or {"error"}.
pub fn search(request: &str) -> String {
    ask(raw::ledge_search_query, request)
}

pub fn kv_delete(key: &str) -> Result<(), KvError> {
    let key = Block::new(key.as_bytes());
    match unsafe { raw::ledge_kv_delete(key.0) } {
        0 => Ok(()),
        _ => Err(KvError::Failed),
    }
}

/// The raw value of a member of the outermost object; None where there is none or the text is no object.
pub fn json_member<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let b = json.as_bytes();
    let space = |mut i: usize| {
        while i < b.len() && matches!(b[i], b' ' | b'\n' | b'\t' | b'\r') {
            i += 1;
        }
        i
    };
    let string_end = |mut i: usize| {
        while i < b.len() && b[i] != b'"' {
            i += if b[i] == b'\\' { 2 } else { 1 };
        }
        i
    };
    let value_end = |mut i: usize| {
        let mut depth = 0;
        while i < b.len() {
            match b[i] {
                b'"' => i = string_end(i + 1),
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 => break,
                _ => {}
            }
            i += 1;
        }
        i.min(b.len())
    };
    let mut i = space(0);
    if b.get(i) != Some(&b'{') {
        return None;
    }
    i += 1;
    loop {
        i = space(i);
        if b.get(i) != Some(&b'"') {
            return None;
        }
        let end = string_end(i + 1);
        let name = json.get(i + 1..end)?;
        i = space(end + 1);
        if b.get(i) != Some(&b':') {
            return None;
        }
        let from = space(i + 1);
        let to = value_end(from);
        if name == key {
            return json.get(from..to).map(str::trim_end);
        }
        i = to;
        if b.get(i) != Some(&b',') {
            return None;
        }
        i += 1;
    }
}

/// Decodes a raw JSON string.
pub fn json_string(raw: &str) -> Option<String> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    let hex4 = |chars: &mut std::str::Chars| {
        let mut v = 0;
        for _ in 0..4 {
            v = v << 4 | chars.next()?.to_digit(16)?;
        }
        Some(v)
    };
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => {
                let high = hex4(&mut chars)?;
                let mut ahead = chars.clone();
                let paired = (0xd800..0xdc00).contains(&high) && ahead.next() == Some('\\') && ahead.next() == Some('u');
                match if paired { hex4(&mut ahead) } else { None } {
                    Some(low) if (0xdc00..0xe000).contains(&low) => {
                        out.push(char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?);
                        chars = ahead;
                    }
                    _ => out.push(char::from_u32(high).unwrap_or('\u{fffd}')),
                }
            }
            c => out.push(c),
        }
    }
    Some(out)
}

/// Encodes text as a JSON string.
pub fn json_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
