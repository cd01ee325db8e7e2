//! Where a collector's events go: which table each log belongs to. It knows nothing of why an event happens.

use super::SampleError;
use super::answers::Place;
use super::columns::ColumnSink;
use super::event::Event;
use super::writer::{LineSink, Tally};

/// The Sysmon log's way out.
#[expect(
    clippy::large_enum_variant,
    reason = "one value a collector, so its size does not matter"
)]
pub(crate) enum Sysmon {
    Lines(LineSink),
    Columns(ColumnSink),
}

/// A collector's ways out. Without one for the Security log, both logs share a file (nxlog), or it is not kept.
pub(crate) struct Outlets {
    pub(crate) sysmon: Sysmon,
    pub(crate) security: Option<LineSink>,
}

impl Outlets {
    /// Writes one event, and says how many readable events that made: 0 where the line was broken on purpose.
    pub(crate) fn write(
        &mut self,
        event: &Event<'_>,
        record: u64,
        planted: bool,
        tally: &mut Tally,
    ) -> Result<u64, SampleError> {
        if event.body.is_security()
            && let Some(sink) = &mut self.security
        {
            return sink.write(event, record, planted, tally);
        }
        match &mut self.sysmon {
            Sysmon::Lines(sink) => sink.write(event, record, planted, tally),
            Sysmon::Columns(sink) => sink.write(event, record, tally),
        }
    }

    /// Where this event, the last of its log, went, and the moment that its raw form tells.
    pub(crate) fn place(&self, event: &Event<'_>) -> (Place, i64) {
        if event.body.is_security()
            && let Some(sink) = &self.security
        {
            return (sink.place(), sink.told(event));
        }
        match &self.sysmon {
            Sysmon::Lines(sink) => (sink.place(), sink.told(event)),
            Sysmon::Columns(sink) => (sink.place(), event.at),
        }
    }

    pub(crate) fn finish(&mut self, tally: &mut Tally) -> Result<(), SampleError> {
        match &mut self.sysmon {
            Sysmon::Lines(sink) => sink.finish(tally)?,
            Sysmon::Columns(sink) => sink.finish(tally)?,
        }
        if let Some(sink) = &mut self.security {
            sink.finish(tally)?;
        }
        Ok(())
    }
}
