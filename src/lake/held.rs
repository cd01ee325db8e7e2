//! Rows of one file on their way to the consumers, held back until the file was read whole: what a bit that flipped on the
//! way from a bucket has spoilt is thrown away and read again, and nobody has seen it.
//!
//! A file of which more is wanted than is held is handed on as it is read; a flip then costs the rest of it.

use tokio::sync::mpsc;

use super::scan::Delivery;

/// Bytes of rows of one file that are held back: more than hunts find in a file, and little beside their memory.
const MOST_HELD: usize = 16 * 1024 * 1024;

/// Where the rows of a file go.
pub(super) struct Outlet {
    sender: mpsc::Sender<Delivery>,
    /// `None` when nothing is held back any more.
    held: Option<Vec<Delivery>>,
    bytes: usize,
}

impl Outlet {
    /// An outlet that hands on at once, or one that holds back.
    pub(super) fn new(sender: mpsc::Sender<Delivery>, holds: bool) -> Self {
        Self {
            sender,
            held: holds.then(Vec::new),
            bytes: 0,
        }
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Takes some rows; false when nobody listens any more. Blocks.
    pub(super) fn send(&mut self, delivery: Delivery) -> bool {
        let Some(held) = &mut self.held else {
            return self.sender.blocking_send(delivery).is_ok();
        };
        if let Ok(rows) = &delivery.rows {
            self.bytes += rows.batch.get_array_memory_size();
        }
        held.push(delivery);
        self.bytes <= MOST_HELD || self.flush()
    }

    /// Hands on what is held back, and holds nothing back from here on; false when nobody listens any more. Blocks.
    pub(super) fn flush(&mut self) -> bool {
        let held = self.held.take().unwrap_or_default();
        let mut held = held.into_iter();
        held.all(|delivery| self.sender.blocking_send(delivery).is_ok())
    }

    /// Throws away what is held back, if all is; false when some of it was handed on.
    pub(super) fn take_back(&mut self) -> bool {
        self.bytes = 0;
        match &mut self.held {
            Some(held) => {
                held.clear();
                true
            }
            None => false,
        }
    }
}
