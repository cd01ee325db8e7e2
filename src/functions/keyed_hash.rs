//! 128-bit hashes under keys of this process, which tell texts and records apart in tables of millions. Who writes the
//! telemetry does not know the keys, and so cannot aim for a collision. No hash leaves the process.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use siphasher::sip128::{Hasher128, SipHasher13};

static KEYS: LazyLock<[u64; 2]> =
    LazyLock::new(|| [RandomState::new(), RandomState::new()].map(|random| random.hash_one(0)));

/// A hash of pieces that come one after the other, the same however the bytes are cut: SipHash-1-3 with 128 bits
/// (Aumasson and Bernstein, 2012).
pub struct KeyedHasher(SipHasher13);

impl Default for KeyedHasher {
    fn default() -> Self {
        Self(SipHasher13::new_with_keys(KEYS[0], KEYS[1]))
    }
}

impl KeyedHasher {
    /// Takes some bytes more.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The hash of all bytes so far.
    pub fn finish(&self) -> u128 {
        self.0.finish128().as_u128()
    }
}

impl fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its state would tell the keys.
        f.debug_struct("KeyedHasher").finish_non_exhaustive()
    }
}

/// The hash of some bytes.
pub fn keyed_hash(bytes: &[u8]) -> u128 {
    let mut hasher = KeyedHasher::default();
    hasher.add(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_bytes_are_cut_says_nothing() {
        let text = b"powershell -enc SQBFAFgA and some more, of odd length";
        for cut in 0..text.len() {
            let mut hasher = KeyedHasher::default();
            hasher.add(&text[..cut]);
            hasher.add(&text[cut..]);
            assert_eq!(hasher.finish(), keyed_hash(text), "cut at {cut}");
        }
        assert_ne!(keyed_hash(b""), keyed_hash(b"\0"));
        assert_ne!(
            keyed_hash(b"a") >> 64,
            keyed_hash(b"a") & u128::from(u64::MAX)
        );
    }
}
