//! Files of lines: which line goes to which file, which lines are broken on purpose and which are delivered twice.
//! It knows nothing of why an event happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::SampleError;
use super::answers::{Broken, Duplicate, Place, Rows};
use super::damage::Damage;
use super::event::{Event, Log};
use super::forms::{Shape, put_line};
use super::line_file::{Codec, LineFile};
use super::slots::Slots;
use super::text::{DAY, SECOND, put_date, text_of};

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
    slots: Slots,
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
            slots: Slots::of_shape(shape),
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

    /// Another layout than the shape's usual one.
    pub(crate) fn with_slots(mut self, slots: Slots) -> Self {
        self.slots = slots;
        self
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
        let mut file = self.turn_to(self.slots.of(event), tally)?;
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
        match (self.shape, event.body.log()) {
            (Shape::Flat | Shape::Nxlog, Log::Sysmon)
            | (Shape::Falcon | Shape::Defender | Shape::Zeek, _) => event.at,
            (Shape::Nxlog, _) => event.logged - event.logged.rem_euclid(SECOND),
            (Shape::Flat | Shape::Sentinel, _) => event.logged,
        }
    }

    /// Ends the open file, and delivers again what is to be delivered again.
    pub(crate) fn finish(&mut self, tally: &mut Tally) -> Result<(), SampleError> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let slot = file.slot;
        if let Some(marker) = self.slots.marker(&file.relative) {
            let path = self.root.join(&marker);
            fs::write(&path, b"").map_err(|source| SampleError::write(&path, source))?;
            tally.files.push(format!("{}/{marker}", self.table));
        }
        self.close(file, tally)?;
        if self.copy_day == Some(slot) && !self.copies.is_empty() {
            let mut again = self.open(slot, None)?;
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

    /// The open file for a slot. Slots only go forward: a late line stays in the file that is open, as it does in real collectors.
    fn turn_to(&mut self, slot: i64, tally: &mut Tally) -> Result<LineFile, SampleError> {
        let mut to_open = slot;
        if let Some(file) = &self.file {
            if slot > file.slot {
                self.finish(tally)?;
                self.part = 0;
            } else if file.rows >= LINES_A_FILE
                && let Some(full) = self.file.take()
            {
                to_open = full.slot;
                self.close(full, tally)?;
                self.part += 1;
            }
        }
        match self.file.take() {
            Some(file) => Ok(file),
            None => self.open(to_open, Some(self.part)),
        }
    }

    /// A part of a slot, or the file of what is delivered again.
    fn open(&self, slot: i64, part: Option<u32>) -> Result<LineFile, SampleError> {
        let (folder, name) = self.slots.path(slot, self.stem, part);
        let name = format!("{name}{}", self.codec.suffix());
        LineFile::create(&self.root, (&folder, &name), slot, self.codec, self.level)
    }

    fn close(&self, mut file: LineFile, tally: &mut Tally) -> Result<(), SampleError> {
        file.end_member()?;
        tally.add(self.table, self.slots.day(file.slot), file.rows, 0);
        tally
            .files
            .push(format!("{}/{}", self.table, file.relative));
        Ok(())
    }
}
