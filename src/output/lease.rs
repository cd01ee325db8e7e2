//! A lease: the lock of a tile in a bucket. Taken, renewed and released by conditional puts, so that of two runs one has it.
//!
//! Its age is told by the clock of the store, never by those of two machines. A run that dies leaves a lease that is free
//! when it was not renewed for [`EXPIRES`].

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::store::{Location, Put, Version};

/// How long a lease holds that is not renewed.
const EXPIRES: chrono::Duration = chrono::Duration::seconds(60);

/// How often it is renewed.
const RENEWED: Duration = Duration::from_secs(15);

/// What a lease says that nobody holds.
const FREE: &[u8] = b"free";

/// A lease that is held.
#[derive(Debug)]
pub struct Lease {
    location: Location,
    path: String,
    /// The version this run wrote last; `None` when another run has taken it.
    version: Arc<Mutex<Option<Version>>>,
    renewal: JoinHandle<()>,
}

/// A word that no other run has: two leases with the same bytes could not be told apart.
pub(super) fn nonce() -> String {
    // The standard library seeds each of these from the system's source of randomness.
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

impl Lease {
    /// Takes a lease; `None` while another run holds it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take(location: &Location, path: &str) -> Result<Option<Self>> {
        let nonce = nonce();
        let seen = match location.find(path).await? {
            None => Version::Absent,
            Some(stored) if stored.bytes == FREE => stored.version,
            Some(stored) => {
                let clock = format!(".locks/clock-{nonce}");
                location.put(&clock, Bytes::new()).await?;
                let now = location.find(&clock).await?.map(|stored| stored.modified);
                location.delete(&clock).await?;
                if now.is_none_or(|now| now - stored.modified < EXPIRES) {
                    return Ok(None);
                }
                stored.version
            }
        };
        let put = location
            .put_over(path, Bytes::from(format!("{nonce} 0")), &seen)
            .await?;
        let Put::Written(version) = put else {
            return Ok(None);
        };
        let version = Arc::new(Mutex::new(Some(version)));
        let renewal = renew(
            location.clone(),
            path.to_owned(),
            nonce,
            Arc::clone(&version),
        );
        Ok(Some(Self {
            location: location.clone(),
            path: path.to_owned(),
            version,
            renewal: tokio::spawn(renewal),
        }))
    }

    /// Whether no other run has taken it over.
    pub fn is_held(&self) -> bool {
        held(&self.version).is_some()
    }

    /// Gives it back. One that another run has is left alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release(&self) -> Result<()> {
        self.renewal.abort();
        if let Some(version) = held(&self.version) {
            let free = Bytes::from_static(FREE);
            self.location.put_over(&self.path, free, &version).await?;
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

fn held(version: &Mutex<Option<Version>>) -> Option<Version> {
    let version = version.lock().unwrap_or_else(PoisonError::into_inner);
    version.clone()
}

async fn renew(
    location: Location,
    path: String,
    nonce: String,
    version: Arc<Mutex<Option<Version>>>,
) {
    for beat in 1_u64.. {
        tokio::time::sleep(RENEWED).await;
        let Some(seen) = held(&version) else { return };
        let content = Bytes::from(format!("{nonce} {beat}"));
        let next = match location.put_over(&path, content, &seen).await {
            Ok(Put::Written(version)) => Some(version),
            Ok(Put::Conflict) => None,
            // The next beat may get through; when none does, another run takes the lease and the ledger is refused.
            Err(_) => continue,
        };
        *version.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}
