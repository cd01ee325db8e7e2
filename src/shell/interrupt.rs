//! Ctrl-C, heard from the beginning: what is pressed while nobody waits for it is not lost.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// How often somebody pressed Ctrl-C, and how much of it was heeded.
#[derive(Debug, Clone)]
pub struct Interrupts(watch::Receiver<u64>);

impl Interrupts {
    /// Begins to listen; from now on Ctrl-C ends nothing by itself. Belongs into a runtime.
    ///
    /// # Errors
    /// When the process cannot listen.
    pub fn listen() -> Result<Self> {
        let mut signals = signal(SignalKind::interrupt())
            .map_err(|error| Error::failure(format!("cannot listen for Ctrl-C: {error}")))?;
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(receiver))
    }

    /// What was pressed before is no matter of what comes.
    pub(super) fn forget(&mut self) {
        self.0.borrow_and_update();
    }

    /// Ends when Ctrl-C is pressed, or was since it was last forgotten.
    pub(super) fn pressed(&self) -> impl Future<Output = ()> + use<> {
        let mut receiver = self.0.clone();
        async move {
            if receiver.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }
}
