// The workloads of bench/sandbox in Rust; testdata/go has the comments.
static mut DATA: [u8; 1 << 16] = [0; 1 << 16];

fn data(n: u32) -> &'static [u8] {
    let p = std::ptr::addr_of!(DATA) as *const u8;
    unsafe { std::slice::from_raw_parts(p, n as usize) }
}

#[no_mangle]
pub extern "C" fn buffer() -> u32 {
    std::ptr::addr_of!(DATA) as u32
}

#[no_mangle]
pub extern "C" fn scan(n: u32) -> u32 {
    let (mut found, mut run) = (0u32, 0);
    for &c in data(n) {
        match c {
            b'0'..=b'9' => {
                run += 1;
                if run >= 4 {
                    found += 1
                }
            }
            b'@' => {
                found += 100;
                run = 0
            }
            _ => run = 0,
        }
    }
    found
}

#[no_mangle]
pub extern "C" fn chunk(n: u32) -> u32 {
    let (mut sum, mut start, mut space) = (0u32, 0u32, 0u32);
    for (i, &c) in data(n).iter().enumerate() {
        let i = i as u32;
        if c == b' ' || c == b'\n' {
            space = i + 1
        }
        if i - start >= 200 {
            if space <= start {
                space = i + 1
            }
            sum = sum.wrapping_mul(31).wrapping_add(space - start);
            start = space
        }
    }
    sum
}

// parse splits words, counts them in a map and formats the result: allocation, hashing, formatting.
#[no_mangle]
pub extern "C" fn parse(n: u32) -> u32 {
    let mut words = std::collections::BTreeMap::new();
    for w in data(n).split(|c| *c == b' ') {
        *words.entry(String::from_utf8_lossy(w).to_lowercase()).or_insert(0u32) += 1;
    }
    format!("{:?}", words).len() as u32
}
