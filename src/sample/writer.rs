//! Files of lines: where they lie, how they are compressed, which lines are broken on purpose and which are delivered twice.
//! It knows raw shapes, but nothing of why an event happens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::SampleError;
use super::answers::{Broken, Duplicate, Place, Rows};
use super::event::{Body, Event};
use super::forms::{Shape, put_line};
use super::text::{DAY, SECOND, new_york_offset, put_date, text_of};

/// What all files of a lake add up to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rows: BTreeMap<String, BTreeMap<String, Rows>>,
    pub(crate) broken: Vec<Broken>,
    pub(crate) duplicates: Vec<Duplicate>,
    /// Relative to the lake's folder.
    pub(crate) files: Vec<String>,
    pub(crate) events: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, table: &str, day: i64, lines: u64, events: u64) {
        if lines == 0 && events == 0 {
            return;
        }
        let rows = self
            .rows
            .entry(table.to_owned())
            .or_default()
            .entry(text_of(|out| put_date(out, day)))
            .or_default();
        rows.lines += lines;
        rows.events += events;
        self.events += events;
    }
}

/// What to do to a line to break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Truncated,
    Garbage,
    InvalidUtf8,
    NoTime,
    TypeConflict,
}

impl Damage {
    fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Garbage => "garbage",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NoTime => "no_time",
            Self::TypeConflict => "type_conflict",
        }
    }

    fn suits(self, body: &Body<'_>) -> bool {
        match self {
            Self::InvalidUtf8 | Self::TypeConflict => matches!(body, Body::Process { .. }),
            _ => true,
        }
    }

    fn keeps_the_row(self) -> bool {
        self == Self::TypeConflict
    }

    fn apply(self, line: &mut Vec<u8>) {
        match self {
            Self::Truncated => line.truncate(line.len() * 3 / 5),
            Self::Garbage => {
                line.clear();
                line.extend_from_slice(b"forwarder: connection reset by peer, 3 records resent {");
            }
            Self::InvalidUtf8 => {
                if let Some(start) = after(line, b",\"CommandLine\":\"") {
                    line.splice(start..start, [0xC3, 0x28, 0xFF]);
                }
            }
            Self::NoTime => {
                if let Some(start) = after(line, b"\"TimeCreated\":\"") {
                    line.splice(start..start + 27, *b"-");
                }
            }
            Self::TypeConflict => {
                if let Some(start) = after(line, b",\"CommandLine\":")
                    && let Some(end) = find(line, b",\"CurrentDirectory\"")
                {
                    line.splice(start..end, *b"{\"#text\":\"\"}");
                }
            }
        }
    }
}

fn find(line: &[u8], needle: &[u8]) -> Option<usize> {
    line.windows(needle.len())
        .position(|window| window == needle)
}

fn after(line: &[u8], needle: &[u8]) -> Option<usize> {
    find(line, needle).map(|position| position + needle.len())
}

/// How a file of lines is named after its day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Days {
    /// `day=2026-01-03/`, UTC.
    Utc,
    /// `2026/01/03/`, the day of New York, from the event's own local time.
    NewYork,
}

/// Whether lines are compressed as gzip or zstd. Both at a fixed level and without a time, so that bytes repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Zstd,
}

impl Codec {
    fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }
}

enum Encoder {
    Gzip(GzEncoder<File>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
}

impl Encoder {
    fn new(file: File, codec: Codec, level: u32) -> io::Result<Self> {
        Ok(match codec {
            Codec::Gzip => Self::Gzip(
                GzBuilder::new()
                    .mtime(0)
                    .operating_system(255)
                    .write(file, Compression::new(level)),
            ),
            Codec::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(
                file,
                i32::try_from(level).unwrap_or(3),
            )?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<File> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// One open file.
struct LineFile {
    path: PathBuf,
    relative: String,
    day: i64,
    encoder: Option<Encoder>,
    pending: Vec<u8>,
    rows: u64,
    second_member: bool,
}

const PENDING: usize = 1 << 18;
/// Lines a file holds before the next begins: about 15 MB compressed, and work for several readers.
const LINES_A_FILE: u64 = 200_000;
/// Records that a collector delivers again, on one day.
const COPIES: usize = 10;

/// All files that one collector writes for one table.
pub(crate) struct LineSink {
    root: PathBuf,
    table: &'static str,
    stem: &'static str,
    shape: Shape,
    days: Days,
    codec: Codec,
    level: u32,
    two_members: bool,
    file: Option<LineFile>,
    part: u32,
    line: Vec<u8>,
    /// What breaks on which UTC day, from which row on.
    damage: Vec<(i64, u64, Damage)>,
    /// The UTC day of which some records are delivered again.
    copy_day: Option<i64>,
    copies: Vec<(Vec<u8>, Place)>,
}

impl LineSink {
    pub(crate) fn new(
        lake: &Path,
        table: &'static str,
        stem: &'static str,
        shape: Shape,
        codec: Codec,
        level: u32,
    ) -> Self {
        Self {
            root: lake.join(table),
            table,
            stem,
            shape,
            days: if shape == Shape::Nxlog {
                Days::NewYork
            } else {
                Days::Utc
            },
            codec,
            level,
            two_members: false,
            file: None,
            part: 0,
            line: Vec::with_capacity(4096),
            damage: Vec::new(),
            copy_day: None,
            copies: Vec::new(),
        }
    }

    /// Every file gets a second gzip member from noon on, as appending collectors write them.
    pub(crate) fn with_two_members(mut self) -> Self {
        self.two_members = true;
        self
    }

    pub(crate) fn with_damage(mut self, damage: Vec<(i64, u64, Damage)>) -> Self {
        self.damage = damage;
        self
    }

    pub(crate) fn with_copies(mut self, day: i64) -> Self {
        self.copy_day = Some(day);
        self
    }

    /// Writes one event. Says how many readable events that made: 0 where the line was broken. A planted event is
    /// never broken.
    pub(crate) fn write(
        &mut self,
        event: &Event<'_>,
        record: u64,
        planted: bool,
        tally: &mut Tally,
    ) -> Result<u64, SampleError> {
        let day = event.at.div_euclid(DAY);
        let path_day = match self.days {
            Days::Utc => day,
            Days::NewYork => (event.logged + new_york_offset(event.logged)).div_euclid(DAY),
        };
        let mut file = self.turn_to(path_day, tally)?;
        let noon = event.at.rem_euclid(DAY) >= DAY / 2;
        if self.two_members && noon && !file.second_member && file.rows > 0 {
            file.second_member = true;
            file.next_member(self.codec, self.level)?;
        }
        self.line.clear();
        put_line(&mut self.line, self.shape, event, record);
        let mut damage = None;
        if !planted && !self.damage.is_empty() {
            let due = self.damage.iter().position(|(on, from, damage)| {
                *on == day && *from <= file.rows && damage.suits(&event.body)
            });
            damage = due.map(|position| self.damage.remove(position).2);
        }
        if let Some(damage) = damage {
            damage.apply(&mut self.line);
            tally.broken.push(Broken {
                table: self.table.to_owned(),
                file: file.relative.clone(),
                line: file.rows + 1,
                reason: damage.name().to_owned(),
                row_kept: damage.keeps_the_row(),
            });
        }
        file.push(&self.line)?;
        let wanted = planted || (file.rows % 16 == 9 && self.copies.len() < COPIES - 2);
        if self.copy_day == Some(day) && wanted && damage.is_none() && self.copies.len() < COPIES {
            let place = Place {
                table: self.table.to_owned(),
                file: file.relative.clone(),
                row: file.rows,
            };
            self.copies.push((self.line.clone(), place));
        }
        self.file = Some(file);
        let readable = u64::from(damage.is_none_or(Damage::keeps_the_row));
        tally.add(self.table, day, 0, readable);
        Ok(readable)
    }

    /// Where the last event went.
    pub(crate) fn place(&self) -> Place {
        let (file, row) = self.file.as_ref().map_or((String::new(), 0), |file| {
            (file.relative.clone(), file.rows)
        });
        Place {
            table: self.table.to_owned(),
            file,
            row,
        }
    }

    /// The moment that the raw event tells, in microseconds: what `event_time` becomes.
    pub(crate) fn told(&self, event: &Event<'_>) -> i64 {
        match (event.body.is_security(), self.shape) {
            (false, _) => event.at,
            (true, Shape::Flat) => event.logged,
            (true, Shape::Nxlog) => event.logged - event.logged.rem_euclid(SECOND),
        }
    }

    /// Ends the open file, and delivers again what is to be delivered again.
    pub(crate) fn finish(&mut self, tally: &mut Tally) -> Result<(), SampleError> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let day = file.day;
        self.close(file, tally)?;
        if self.copy_day == Some(day) && !self.copies.is_empty() {
            let mut again = self.open(day, "redelivered")?;
            for (line, of) in std::mem::take(&mut self.copies) {
                again.push(&line)?;
                tally.duplicates.push(Duplicate {
                    table: self.table.to_owned(),
                    file: again.relative.clone(),
                    row: again.rows,
                    of,
                });
            }
            self.close(again, tally)?;
        }
        Ok(())
    }

    /// The open file for a day. Days only go forward: a late line stays in the file that is open, as it does in real collectors.
    fn turn_to(&mut self, day: i64, tally: &mut Tally) -> Result<LineFile, SampleError> {
        let mut to_open = day;
        if let Some(file) = &self.file {
            if day > file.day {
                self.finish(tally)?;
                self.part = 0;
            } else if file.rows >= LINES_A_FILE
                && let Some(full) = self.file.take()
            {
                to_open = full.day;
                self.close(full, tally)?;
                self.part += 1;
            }
        }
        match self.file.take() {
            Some(file) => Ok(file),
            None => self.open(to_open, &format!("{:04}", self.part)),
        }
    }

    fn open(&self, day: i64, part: &str) -> Result<LineFile, SampleError> {
        let date = text_of(|out| put_date(out, day));
        let folder = match self.days {
            Days::Utc => format!("day={date}"),
            Days::NewYork => date.replace('-', "/"),
        };
        let name = format!("{}-{part}.ndjson.{}", self.stem, self.codec.suffix());
        let relative = format!("{folder}/{name}");
        let path = self.root.join(&folder).join(name);
        let failed = |source| SampleError::write(&path, source);
        fs::create_dir_all(self.root.join(&folder)).map_err(failed)?;
        let encoder = File::create(&path)
            .and_then(|file| Encoder::new(file, self.codec, self.level))
            .map_err(failed)?;
        Ok(LineFile {
            path,
            relative,
            day,
            encoder: Some(encoder),
            pending: Vec::with_capacity(PENDING + 8192),
            rows: 0,
            second_member: false,
        })
    }

    fn close(&self, mut file: LineFile, tally: &mut Tally) -> Result<(), SampleError> {
        file.end_member()?;
        tally.add(self.table, file.day, file.rows, 0);
        tally
            .files
            .push(format!("{}/{}", self.table, file.relative));
        Ok(())
    }
}

impl LineFile {
    fn push(&mut self, line: &[u8]) -> Result<(), SampleError> {
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.rows += 1;
        if self.pending.len() >= PENDING {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SampleError> {
        if let Some(encoder) = &mut self.encoder {
            encoder
                .write(&self.pending)
                .map_err(|source| SampleError::write(&self.path, source))?;
        }
        self.pending.clear();
        Ok(())
    }

    fn end_member(&mut self) -> Result<Option<File>, SampleError> {
        self.flush()?;
        let Some(encoder) = self.encoder.take() else {
            return Ok(None);
        };
        encoder
            .finish()
            .map(Some)
            .map_err(|source| SampleError::write(&self.path, source))
    }

    fn next_member(&mut self, codec: Codec, level: u32) -> Result<(), SampleError> {
        if let Some(file) = self.end_member()? {
            let encoder = Encoder::new(file, codec, level)
                .map_err(|source| SampleError::write(&self.path, source))?;
            self.encoder = Some(encoder);
        }
        Ok(())
    }
}
