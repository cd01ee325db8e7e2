//! Patterns already compiled, kept with the function that was registered, so that planning a query many times over and
//! patterns that come from a column compile each pattern once. It must not know what a compiled pattern is.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many compiled patterns are kept. A library of some thousand hunts has fewer; a column of patterns may have more.
const CAPACITY: usize = 4096;

/// A bounded map from a pattern to its compiled form.
#[derive(Debug)]
pub(super) struct PatternCache<Key, Compiled> {
    entries: Mutex<HashMap<Key, Arc<Compiled>>>,
}

impl<Key, Compiled> Default for PatternCache<Key, Compiled> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
        }
    }
}

impl<Key: Eq + Hash, Compiled> PatternCache<Key, Compiled> {
    /// The compiled form of `key`; `compile` runs only when it is not known. Errors are not kept.
    pub(super) fn get<Error>(
        &self,
        key: Key,
        compile: impl FnOnce(&Key) -> Result<Compiled, Error>,
    ) -> Result<Arc<Compiled>, Error> {
        // The lock is held while compiling, so that two partitions never compile the same pattern.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entries.get(&key) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(compile(&key)?);
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        entries.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles_a_pattern_once_and_stays_bounded() {
        let cache = PatternCache::<usize, usize>::default();
        let mut compilations = 0;
        for _ in 0..3 {
            let value = cache.get(7, |key| {
                compilations += 1;
                Ok::<_, String>(key * 2)
            });
            assert_eq!(*value.unwrap(), 14);
        }
        assert_eq!(compilations, 1);
        assert!(cache.get(8, |_| Err("bad")).is_err());
        for key in 0..=CAPACITY {
            cache.get(key, |_| Ok::<_, String>(0)).unwrap();
        }
        assert!(cache.entries.lock().unwrap().len() <= CAPACITY);
    }
}
