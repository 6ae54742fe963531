//! Keys and values of 16 bytes, and the order in which they are used.

/// The key with this number.
pub fn key(number: usize) -> String {
    format!("app/var/{number:08}")
}

/// The value that it has at first.
pub fn value(number: usize) -> String {
    format!("{:016}", number * 7 + 3)
}

/// Numbers in no order, the same in each run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(number) * end as u128) >> 64) as usize
    }
}

/// All numbers below `count`, in no order.
pub fn shuffled(count: usize) -> Vec<usize> {
    let mut random = Random::new();
    let mut numbers: Vec<usize> = (0..count).collect();
    for end in (1..count).rev() {
        numbers.swap(end, random.below(end + 1));
    }
    numbers
}

/// Keys to ask for, one after the other and then from the beginning. They stand in memory as they
/// are used, so that fetching the key itself costs all peers nothing.
pub struct Questions {
    keys: Vec<[u8; 16]>,
    next: usize,
}

impl Questions {
    /// `length` of the keys below `count`.
    pub fn new(count: usize, length: usize) -> Self {
        Self::from(0, count, length)
    }

    /// `length` of as many keys behind those below `count`.
    pub fn beyond(count: usize, length: usize) -> Self {
        Self::from(count, count, length)
    }

    fn from(first: usize, count: usize, length: usize) -> Self {
        let mut random = Random::new();
        let keys = (0..length)
            .map(|_| {
                let key = key(first + random.below(count)).into_bytes();
                key.try_into().expect("keys have 16 bytes")
            })
            .collect();
        Self { keys, next: 0 }
    }

    #[inline]
    pub fn next(&mut self) -> &[u8; 16] {
        let key = &self.keys[self.next];
        self.next += 1;
        if self.next == self.keys.len() {
            self.next = 0;
        }
        key
    }
}
