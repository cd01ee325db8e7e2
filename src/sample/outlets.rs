//! Where a collector's events go: which table each event belongs to. It knows nothing of why an event happens.

use std::path::Path;

use super::SampleError;
use super::SampleOptions;
use super::answers::Place;
use super::columns::ColumnSink;
use super::damage::Damage;
use super::event::{Body, Event, Log};
use super::forms::Shape;
use super::line_file::Codec;
use super::nested::NestedSink;
use super::slots::Slots;
use super::world::{Collector, Route};
use super::writer::{LineSink, Tally};

/// One way out.
#[expect(
    clippy::large_enum_variant,
    reason = "a few values a collector, so their size does not matter"
)]
enum Sink {
    Lines(LineSink),
    Columns(ColumnSink),
    Nested(NestedSink),
}

/// A collector's ways out: the first takes everything that has no other.
pub(crate) struct Outlets {
    route: Route,
    sinks: Vec<Sink>,
}

impl Outlets {
    /// The ways out of a collector. `first` is the lake's first day.
    pub(crate) fn new(
        dir: &Path,
        collector: &Collector,
        options: &SampleOptions,
        first: i64,
    ) -> Self {
        let (route, name) = (collector.route, collector.name);
        let level = gzip_level(options.events);
        let day = |wanted: u32| first + i64::from(wanted % options.days);
        let lines =
            |table, stem, shape, codec| LineSink::new(dir, table, stem, shape, codec, level);
        let sinks = match route {
            Route::Server => {
                let mut sinks = vec![Sink::Columns(ColumnSink::new(dir, "sysmon_servers", name))];
                if !options.parquet_only {
                    sinks.push(Sink::Lines(lines(
                        "security",
                        name,
                        Shape::Flat,
                        Codec::Gzip,
                    )));
                }
                sinks
            }
            Route::Nxlog if name == "nyc02" => {
                vec![Sink::Lines(lines("nxlog", name, Shape::Nxlog, Codec::Zstd))]
            }
            Route::Nxlog => vec![Sink::Lines(lines("nxlog", name, Shape::Nxlog, Codec::Gzip))],
            Route::Flat => {
                let sysmon = lines("sysmon", name, Shape::Flat, Codec::Gzip);
                let security = lines("security", name, Shape::Flat, Codec::Gzip);
                let (sysmon, security) = if name == "wec01" {
                    (
                        sysmon.with_damage(vec![
                            (day(0), 40, Damage::Truncated),
                            (day(2), 100, Damage::TypeConflict),
                        ]),
                        security.with_damage(vec![(day(1), 30, Damage::Garbage)]),
                    )
                } else {
                    (
                        sysmon
                            .with_two_members()
                            .with_damage(vec![(day(1), 60, Damage::InvalidUtf8)])
                            .with_copies(day(1)),
                        security.with_damage(vec![(day(2), 20, Damage::NoTime)]),
                    )
                };
                vec![Sink::Lines(sysmon), Sink::Lines(security)]
            }
            Route::Falcon => vec![Sink::Lines(lines("fdr", name, Shape::Falcon, Codec::Gzip))],
            Route::Sentinel => {
                vec![Sink::Lines(lines(
                    "sentinel",
                    name,
                    Shape::Sentinel,
                    Codec::Plain,
                ))]
            }
            Route::Defender => {
                let sink = || lines("defender", name, Shape::Defender, Codec::Plain);
                let network = Slots::Hours("insights-logs-advancedhunting-devicenetworkevents");
                vec![Sink::Lines(sink()), Sink::Lines(sink().with_slots(network))]
            }
            Route::Ocsf => vec![
                Sink::Nested(NestedSink::new(dir, false)),
                Sink::Nested(NestedSink::new(dir, true)),
            ],
            Route::Zeek => vec![
                Sink::Lines(lines("zeek", "conn", Shape::Zeek, Codec::Gzip)),
                Sink::Lines(lines("zeek", "dce_rpc", Shape::Zeek, Codec::Gzip)),
            ],
        };
        Self { route, sinks }
    }

    fn position(&self, body: &Body<'_>) -> usize {
        let second = match self.route {
            Route::Defender | Route::Ocsf => matches!(body, Body::Network { .. }),
            Route::Zeek => matches!(body, Body::Call(_)),
            _ => body.log() != Log::Sysmon,
        };
        usize::from(second).min(self.sinks.len() - 1)
    }

    /// Writes one event, and says how many readable events that made: 0 where the line was broken on purpose.
    pub(crate) fn write(
        &mut self,
        event: &Event<'_>,
        record: u64,
        planted: bool,
        tally: &mut Tally,
    ) -> Result<u64, SampleError> {
        let position = self.position(&event.body);
        match &mut self.sinks[position] {
            Sink::Lines(sink) => sink.write(event, record, planted, tally),
            Sink::Columns(sink) => sink.write(event, record, tally),
            Sink::Nested(sink) => sink.write(event, record, tally),
        }
    }

    /// Where this event, the last of its table, went, and the moment that its raw form tells.
    pub(crate) fn place(&self, event: &Event<'_>) -> (Place, i64) {
        match &self.sinks[self.position(&event.body)] {
            Sink::Lines(sink) => (sink.place(), sink.told(event)),
            Sink::Columns(sink) => (sink.place(), event.at),
            Sink::Nested(sink) => (sink.place(), event.at),
        }
    }

    pub(crate) fn finish(&mut self, tally: &mut Tally) -> Result<(), SampleError> {
        for sink in &mut self.sinks {
            match sink {
                Sink::Lines(sink) => sink.finish(tally)?,
                Sink::Columns(sink) => sink.finish(tally)?,
                Sink::Nested(sink) => sink.finish(tally)?,
            }
        }
        Ok(())
    }
}

/// Large lakes are compressed faster, small ones smaller.
fn gzip_level(events: u64) -> u32 {
    if events <= 200_000 { 9 } else { 1 }
}
