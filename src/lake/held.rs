//! Rows of one file on their way to the consumers. Those of a bucket are held back until the file was read whole: what a bit
//! that flipped on the way has spoilt is thrown away and read again, and nobody has seen it.
//!
//! A file of which more is wanted than is held is handed on as it is read; a flip then costs the rest of it. Files are handed
//! on in order; one that is not yet at the front is decoded all the same, as long as there is room for its rows.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::scan::Delivery;

/// Kibibytes of rows of one file that wait for those before it.
const MOST_WAITING: u32 = 16 * 1024;

/// Bytes of rows of one file that are held back: more than hunts find in a file, and little beside their memory.
const MOST_HELD: usize = 16 * 1024 * 1024;

/// Rows, and the room they take until they are received.
type Sent = (Delivery, OwnedSemaphorePermit);

/// Where the rows of a file come from.
pub(super) type Inlet = mpsc::UnboundedReceiver<Sent>;

/// Where the rows of a file go.
pub(super) struct Outlet {
    sender: mpsc::UnboundedSender<Sent>,
    room: Arc<Semaphore>,
    runtime: Handle,
    /// `None` when nothing is held back any more.
    held: Option<Vec<Delivery>>,
    bytes: usize,
}

impl Outlet {
    /// An outlet that hands on at once, or one that holds back; and what comes out of it.
    pub(super) fn new(runtime: Handle, holds: bool) -> (Self, Inlet) {
        let (sender, inlet) = mpsc::unbounded_channel();
        let outlet = Self {
            sender,
            room: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            runtime,
            held: holds.then(Vec::new),
            bytes: 0,
        };
        (outlet, inlet)
    }

    /// Whether nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Takes some rows; false when nobody listens any more. Blocks.
    pub(super) fn send(&mut self, delivery: Delivery) -> bool {
        let Some(held) = &mut self.held else {
            return self.hand_on(delivery);
        };
        self.bytes += bytes(&delivery);
        held.push(delivery);
        self.bytes <= MOST_HELD || self.flush()
    }

    fn hand_on(&self, delivery: Delivery) -> bool {
        let wanted = u32::try_from(bytes(&delivery) / 1024).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(wanted.clamp(1, MOST_WAITING));
        // What nobody receives any more is dropped, and makes room.
        let room = self.runtime.block_on(room);
        room.is_ok_and(|room| self.sender.send((delivery, room)).is_ok())
    }

    /// Hands on what is held back, and holds nothing back from here on; false when nobody listens any more. Blocks.
    pub(super) fn flush(&mut self) -> bool {
        let held = self.held.take().unwrap_or_default();
        let mut held = held.into_iter();
        held.all(|delivery| self.hand_on(delivery))
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

fn bytes(delivery: &Delivery) -> usize {
    let rows = delivery.rows.as_ref();
    rows.map_or(0, |rows| rows.batch.get_array_memory_size())
}
