//! A lease: the lock of a tile in a bucket. Taken, renewed and released by conditional puts, so that of two runs one has it.
//!
//! Its age is told by the clock of the store, never by those of two machines. A run that dies leaves a lease that is free
//! when it was not renewed for a minute.

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
    held: Held,
    dropped: Dropped,
    renewal: JoinHandle<()>,
}

/// What it takes to write a lease again.
#[derive(Debug, Clone)]
struct Held {
    location: Location,
    path: String,
    nonce: String,
    /// The version this run wrote last; `None` when another run has taken it, or it was given back.
    version: Arc<Mutex<Option<Version>>>,
    /// How often it was renewed; locked while it is.
    beats: Arc<tokio::sync::Mutex<u64>>,
}

/// Leases that were dropped and not given back: their runs broke off.
#[derive(Debug, Clone, Default)]
pub(super) struct Dropped(Arc<Mutex<Vec<Held>>>);

impl Dropped {
    /// Gives them back, as far as the store answers; the others expire.
    pub(super) async fn release(&self) {
        let held = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for held in held {
            let _ = held.release().await;
        }
    }
}

impl Held {
    fn version(&self) -> Option<Version> {
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        version.clone()
    }

    fn set(&self, version: Option<Version>) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// Writes it again, so that it holds for longer; where another run has taken it, that is known then.
    async fn renew(&self) -> Result<()> {
        let mut beats = self.beats.lock().await;
        let Some(seen) = self.version() else {
            return Ok(());
        };
        *beats += 1;
        let content = Bytes::from(format!("{} {beats}", self.nonce));
        let put = self.location.put_over(&self.path, content, &seen).await?;
        self.set(match put {
            Put::Written(version) => Some(version),
            Put::Conflict => None,
        });
        Ok(())
    }

    async fn release(&self) -> Result<()> {
        if let Some(version) = self.version() {
            let free = Bytes::from_static(FREE);
            self.location.put_over(&self.path, free, &version).await?;
            self.set(None);
        }
        Ok(())
    }
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
    pub(super) async fn take(
        location: &Location,
        path: &str,
        dropped: &Dropped,
    ) -> Result<Option<Self>> {
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
        let held = Held {
            location: location.clone(),
            path: path.to_owned(),
            nonce,
            version: Arc::new(Mutex::new(Some(version))),
            beats: Arc::default(),
        };
        Ok(Some(Self {
            renewal: tokio::spawn(renew(held.clone())),
            held,
            dropped: dropped.clone(),
        }))
    }

    /// Whether no other run has taken it over, as the store says now: a run may have slept for hours.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn is_held(&self) -> Result<bool> {
        self.held.renew().await?;
        Ok(self.held.version().is_some())
    }

    /// Gives it back. One that another run has is left alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn release(&self) -> Result<()> {
        self.renewal.abort();
        self.held.release().await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.held.version().is_some() {
            let mut dropped = self
                .dropped
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            dropped.push(self.held.clone());
        }
    }
}

async fn renew(held: Held) {
    while held.version().is_some() {
        tokio::time::sleep(RENEWED).await;
        // The next beat may get through; when none does, another run takes the lease and nothing is published.
        let _ = held.renew().await;
    }
}
