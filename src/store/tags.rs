//! What the tags of a bucket's objects say of their bytes: the MD5 of an object that was put in one part, or nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};

/// What is known of the tags of one bucket.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// A tag was the MD5 of its object.
    are_digests: AtomicBool,
    /// Tags are something else: objects are encrypted with keys of KMS, or the store makes tags of its own.
    are_opaque: AtomicBool,
}

/// What an object said when it was read before, with other bytes than its tag tells of.
#[derive(Debug, Clone, Default)]
pub struct Earlier(Arc<Mutex<Option<String>>>);

impl Tags {
    /// The digest that a tag may be.
    pub(super) fn digest_of(&self, e_tag: &str) -> Option<String> {
        let tag = e_tag.trim_matches('"').to_lowercase();
        let is_digest = tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_digest && !self.are_opaque.load(Ordering::Relaxed)).then_some(tag)
    }

    /// Whether the digest of what came is that of the tag, or the tag is none.
    pub(super) fn is_sound(&self, tag: &str, found: String, earlier: &Earlier) -> bool {
        if found == tag {
            self.are_digests.store(true, Ordering::Relaxed);
            return true;
        }
        let earlier = earlier.0.lock();
        let mut earlier = earlier.unwrap_or_else(PoisonError::into_inner);
        // The same bytes twice are no accident of the network: the tag is something else.
        if earlier.as_ref() == Some(&found) {
            if !self.are_digests.load(Ordering::Relaxed) {
                self.are_opaque.store(true, Ordering::Relaxed);
            }
            return true;
        }
        *earlier = Some(found);
        false
    }
}

/// A digest on its way: of an object that comes in pieces.
#[derive(Debug)]
pub(super) struct Check {
    tags: Arc<Tags>,
    tag: String,
    earlier: Earlier,
    digest: Md5,
    left: u64,
}

impl Check {
    /// A check of an object of a size; `None` where its tag is no digest.
    pub(super) fn of(
        tags: &Arc<Tags>,
        e_tag: Option<&str>,
        size: u64,
        earlier: &Earlier,
    ) -> Option<Self> {
        Some(Self {
            tag: tags.digest_of(e_tag?)?,
            tags: Arc::clone(tags),
            earlier: earlier.clone(),
            digest: Md5::new(),
            left: size,
        })
    }

    /// Takes the next bytes; false when they are the last and all of them are not those of the tag.
    pub(super) fn takes(&mut self, bytes: &[u8]) -> bool {
        self.digest.update(bytes);
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if self.left > 0 {
            return true;
        }
        let found = crate::hex(&std::mem::take(&mut self.digest).finalize());
        self.tags.is_sound(&self.tag, found, &self.earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5_OF_ABC: &str = "\"900150983cd24fb0d6963f7d28e17f72\"";

    fn check(tags: &Arc<Tags>, earlier: &Earlier, pieces: &[&str]) -> Option<bool> {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        let mut check = Check::of(tags, Some(MD5_OF_ABC), size, earlier)?;
        let taken: Vec<bool> = pieces
            .iter()
            .map(|piece| check.takes(piece.as_bytes()))
            .collect();
        let (last, first) = taken.split_last()?;
        assert!(
            first.iter().all(|taken| *taken),
            "only the last piece tells"
        );
        Some(*last)
    }

    #[test]
    fn a_flip_is_noticed_at_the_end_and_a_tag_that_is_no_digest_is_left_alone() {
        let (tags, earlier) = (Arc::new(Tags::default()), Earlier::default());
        assert_eq!(check(&tags, &earlier, &["a", "bc"]), Some(true));
        assert_eq!(check(&tags, &earlier, &["a", "bd"]), Some(false));
        assert_eq!(check(&tags, &earlier, &["a", "bc"]), Some(true));
        // The same twice: it lies there like this. Other objects are looked at all the same.
        assert_eq!(check(&tags, &earlier, &["abd"]), Some(true));
        assert_eq!(check(&tags, &Earlier::default(), &["abd"]), Some(false));
        // In a bucket whose tags never were digests nobody looks any more.
        let (tags, earlier) = (Arc::new(Tags::default()), Earlier::default());
        assert_eq!(check(&tags, &earlier, &["xyz"]), Some(false));
        assert_eq!(check(&tags, &earlier, &["xyz"]), Some(true));
        assert_eq!(check(&tags, &Earlier::default(), &["xyz"]), None);
        assert!(tags.digest_of("\"0x8DC0\"").is_none());
        assert!(Tags::default().digest_of("\"9001-8\"").is_none());
    }
}
